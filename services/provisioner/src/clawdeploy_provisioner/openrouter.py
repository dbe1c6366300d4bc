"""OpenRouter's key management: mint, disable, delete, find by name.

Source: OpenRouter's published OpenAPI (POST, GET /keys; PATCH, DELETE /keys/{hash}). POST has no idempotency key: after an
unknown outcome, keys of our name are deleted before another is minted.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from pydantic import SecretStr

from clawdeploy_common.errors import PermanentError, TemporaryError
from clawdeploy_common.http import AsyncClient, Response, TransportError, retry_after
from clawdeploy_provisioner.metrics import PROVIDER_CALLS

_PAGE = 100
_DEFAULT_RETRY_S = 1.0


class OpenRouterRefused(PermanentError):
    """OpenRouter does not accept the management key or the request."""

    code = "openrouter-refused"
    title = "OpenRouter refused the request"


class OpenRouterUnavailable(TemporaryError):
    """OpenRouter does not answer, or asks us to wait."""

    code = "openrouter-unavailable"
    title = "OpenRouter is not available right now"


class NoManagementKey(PermanentError):
    """The platform has no OpenRouter management key, so it can mint no keys."""

    code = "no-management-key"
    title = "No OPENROUTER_MANAGEMENT_KEY is set"

    def __init__(self) -> None:
        super().__init__("set OPENROUTER_MANAGEMENT_KEY, or give the instance a key of its own (api_key.openrouter)")


@dataclass(frozen=True, slots=True)
class MintedKey:
    """A key as OpenRouter shows it once; ``key_hash`` names it ever after."""

    key_hash: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key as OpenRouter lists it."""

    key_hash: str
    name: str


class OpenRouterKeys:
    """The management side of one OpenRouter account."""

    def __init__(self, http: AsyncClient, *, base_url: str, management_key: SecretStr | None) -> None:
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._key = management_key

    async def mint(self, name: str, *, limit_micros: int) -> MintedKey:
        """A new key that may spend ``limit_micros`` micro-USD in all."""
        limit = float(Decimal(limit_micros) / 1_000_000)
        body = await self._call("POST", "/keys", json={"name": name, "limit": limit, "include_byok_in_limit": False})
        return MintedKey(key_hash=str(body["data"]["hash"]), secret=str(body["key"]))

    async def disable(self, key_hash: str) -> bool:
        """Disable a key; False when there is no such key any more."""
        return await self._call("PATCH", f"/keys/{key_hash}", json={"disabled": True}, missing_ok=True) is not None

    async def delete(self, key_hash: str) -> None:
        """Delete a key; one that is gone already is fine."""
        await self._call("DELETE", f"/keys/{key_hash}", missing_ok=True)

    async def delete_named(self, name: str) -> int:
        """Delete every key of a name; returns how many there were."""
        hashes = [key.key_hash for key in await self.list() if key.name == name]
        for key_hash in hashes:
            await self.delete(key_hash)
        return len(hashes)

    async def list(self) -> list[ListedKey]:
        """Every key of the account, whoever made it."""
        found: list[ListedKey] = []
        while True:
            query = f"/keys?include_disabled=true&include_expired=true&offset={len(found)}"
            page = (await self._call("GET", query))["data"]
            found += [ListedKey(key_hash=str(key["hash"]), name=str(key["name"])) for key in page]
            if len(page) < _PAGE:
                return found

    async def _call(self, method: str, path: str, *, json: Any = None, missing_ok: bool = False) -> Any:
        if self._key is None:
            raise NoManagementKey
        headers = {"Authorization": f"Bearer {self._key.get_secret_value()}"}
        label = f"{method} {path.split('?', maxsplit=1)[0].rsplit('/', 1)[0] or path.split('?', maxsplit=1)[0]}"
        try:
            response = await self._http.request(method, self._base_url + path, json=json, headers=headers, timeout=10)
        except TransportError as error:
            PROVIDER_CALLS.labels("openrouter", label, "unreachable").inc()
            reason = f"OpenRouter did not answer ({type(error).__name__})"
            raise OpenRouterUnavailable(reason, retry_after=_DEFAULT_RETRY_S) from error
        PROVIDER_CALLS.labels("openrouter", label, str(response.status_code)).inc()
        if response.status_code == HTTPStatus.NOT_FOUND and missing_ok:
            return None
        return _checked(response)


def _checked(response: Response) -> Any:
    status = response.status_code
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise OpenRouterUnavailable(
            f"OpenRouter answered {status}", retry_after=retry_after(response, default=_DEFAULT_RETRY_S)
        )
    if status >= HTTPStatus.BAD_REQUEST:
        raise OpenRouterRefused(f"OpenRouter answered {status}: {_message(response)}")
    return response.json()


def _message(response: Response) -> str:
    try:
        return str(response.json()["error"]["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return "no reason given"

"""Hetzner Cloud's API, as far as we use it (its published OpenAPI description; base address by setting)."""

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import structlog
from pydantic import JsonValue, SecretStr

from clawdeploy_common.database import Database
from clawdeploy_common.errors import PermanentError
from clawdeploy_common.http import AsyncClient, Response, TransportError
from clawdeploy_provisioner.providers.budget import RateBudget, RateLimited
from clawdeploy_provisioner.providers.protocol import ProviderError, ProviderUnavailable

log = structlog.get_logger()

BASE_URL = "https://api.hetzner.cloud/v1"
PER_PAGE = 50
_CALLS, _PER_SECOND = 3600, 1.0
_SECONDS = 20.0
_TRIES = 3
_CLOSED_S = 10.0
_AGAIN = frozenset({"conflict", "locked", "maintenance", "server_error", "service_error", "timeout", "unavailable"})
SOLD_OUT = frozenset({"resource_unavailable", "placement_error", "resource_limit_exceeded"})


class HetznerUnavailable(ProviderUnavailable):
    """No answer, or one that asks to come again."""

    code = "hetzner-unavailable"


class HetznerRefused(ProviderError, PermanentError):
    """The request will not succeed as it is; ``error_code`` is Hetzner's."""

    code = "hetzner-refused"
    title = "Hetzner refused this"

    def __init__(self, status: int, error_code: str, message: str) -> None:
        super().__init__(f"Hetzner refused this: {message} ({error_code})")
        self.http_status = status
        self.error_code = error_code


class HetznerClient:
    """One project by its token; ``http`` stays the caller's. Reading is tried again, changing never is: the caller looks first."""

    def __init__(self, http: AsyncClient, database: Database, *, token: SecretStr, base_url: str = BASE_URL) -> None:
        self._http = http
        self._token = token
        self._base_url = base_url.rstrip("/")
        name = f"hetzner/{hashlib.sha256(token.get_secret_value().encode()).hexdigest()[:16]}"
        self._budget = RateBudget(database, name=name, size=_CALLS, rate=_PER_SECOND)

    async def get(self, path: str, **query: str | int) -> dict[str, Any]:
        """An object; raises HetznerUnavailable, HetznerRefused, RateLimited."""
        for _ in range(_TRIES - 1):
            try:
                return await self._call("GET", path, query=query)
            except RateLimited:
                raise
            except HetznerUnavailable as error:
                log.info("hetzner.asked_again", path=path, error=str(error))
        return await self._call("GET", path, query=query)

    async def pages(self, path: str, **query: str | int) -> list[dict[str, Any]]:
        """Every item of a list; a page that is missing raises, so that nobody takes a part for the whole."""
        key, found, page = path.strip("/"), list[dict[str, Any]](), 1
        while True:
            answer = await self.get(path, **query, page=page, per_page=PER_PAGE)
            found += answer[key]
            pagination: dict[str, int | None] = answer["meta"]["pagination"]
            following = pagination["next_page"]
            if following is None:
                break
            page = following
        if pagination["total_entries"] not in (None, len(found)):
            raise HetznerUnavailable(f"the list of {key} changed while it was read", retry_after=1)
        return found

    async def post(self, path: str, body: Mapping[str, JsonValue] | None = None) -> dict[str, Any]:
        """Change something, once; after HetznerUnavailable nobody knows whether it happened."""
        return await self._call("POST", path, body=body or {})

    async def delete(self, path: str) -> dict[str, Any]:
        """Remove something; what is gone already is no error."""
        try:
            return await self._call("DELETE", path)
        except HetznerRefused as error:
            if error.http_status == HTTPStatus.NOT_FOUND:
                return {}
            raise

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, JsonValue] | None = None,
    ) -> dict[str, Any]:
        await self._budget.take()
        try:
            response = await self._http.request(
                method,
                f"{self._base_url}{path}",
                params=dict(query or {}),
                json=body,
                headers={"Authorization": f"Bearer {self._token.get_secret_value()}"},
                timeout=_SECONDS,
            )
        except TransportError as error:
            raise HetznerUnavailable(f"Hetzner does not answer ({type(error).__name__})", retry_after=2) from error
        await self._heed(response)
        return _read(response)

    async def _heed(self, response: Response) -> None:
        """Their count of what is left is the right one."""
        remaining = response.headers.get("ratelimit-remaining", "")
        if remaining.isdigit():
            await self._budget.correct(int(remaining))
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            await self._budget.close(timedelta(seconds=_CLOSED_S))
            raise RateLimited("Hetzner's rate limit is used up", retry_after=_CLOSED_S)


def _read(response: Response) -> dict[str, Any]:
    if response.status_code == HTTPStatus.NO_CONTENT:
        return {}
    try:
        answer: dict[str, Any] = response.json()
    except ValueError as error:
        raise HetznerUnavailable(
            f"Hetzner answered {response.status_code} with something unreadable", retry_after=2
        ) from error
    if response.status_code < HTTPStatus.BAD_REQUEST:
        return answer
    problem: dict[str, Any] = answer.get("error", {})
    code, message = str(problem.get("code", "unknown")), str(problem.get("message", ""))
    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR or code in _AGAIN:
        raise HetznerUnavailable(f"Hetzner cannot do this now: {message} ({code})", retry_after=2)
    raise HetznerRefused(response.status_code, code, message)

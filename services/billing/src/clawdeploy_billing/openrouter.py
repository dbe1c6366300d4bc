"""Reading usage at OpenRouter: ``GET /keys/{hash}`` and ``GET /keys``, with a management key.

Source: OpenRouter's OpenAPI description. ``usage`` is the key's spending in USD since it was minted, a JSON number, read as Decimal.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

import structlog
from pydantic import SecretStr

from clawdeploy_billing.usage import micros_of
from clawdeploy_common.clock import utc_now
from clawdeploy_common.errors import NotFound, PermanentError, TemporaryError
from clawdeploy_common.http import AsyncBaseTransport, AsyncClient, HTTPError, Response, retry_after

log = structlog.get_logger()

_OK, _NOT_FOUND, _TOO_MANY = 200, 404, 429
_REFUSED = frozenset({401, 403})


class LlmKeyNotFound(NotFound):
    """OpenRouter does not know the key: it was deleted there."""

    code = "llm-key-not-found"


class RateLimited(TemporaryError):
    """OpenRouter asks to wait ``retry_after`` seconds."""

    code = "openrouter-rate-limited"


class OpenRouterAway(TemporaryError):
    """OpenRouter does not answer, or not in a way that can be read."""

    code = "openrouter-away"


class ManagementKeyRefused(PermanentError):
    """OpenRouter refuses the management key."""

    code = "openrouter-key-refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A key's cumulative usage in micro-USD, as it stood at ``read_at`` or later."""

    key_hash: str
    cumulative_micros: int
    read_at: datetime


class OpenRouterKeys:
    """The read side of OpenRouter's key management."""

    def __init__(
        self, *, base_url: str, key: SecretStr, timeout_s: float, transport: AsyncBaseTransport | None = None
    ) -> None:
        self._client = AsyncClient(
            base_url=base_url.rstrip("/"),
            headers={"Authorization": f"Bearer {key.get_secret_value()}"},
            timeout=timeout_s,
            transport=transport,
        )

    async def close(self) -> None:
        """Close connections."""
        await self._client.aclose()

    async def read(self, key_hash: str) -> Reading:
        """One key's usage; raises LlmKeyNotFound, RateLimited, OpenRouterAway, ManagementKeyRefused."""
        read_at = utc_now()
        return _reading(await self._get(f"/keys/{key_hash}"), read_at)

    async def page(self, *, offset: int) -> list[Reading]:
        """Up to 100 keys from an offset, disabled ones too. Raises what ``read`` raises, save LlmKeyNotFound.

        A key that cannot be read is left out: it must not keep the others from being read.
        """
        read_at = utc_now()
        found = await self._get("/keys", offset=offset, include_disabled="true")
        if not isinstance(found, list):
            raise OpenRouterAway("the list of keys is not a list")
        items = cast("list[Any]", found)
        return [reading for item in items if (reading := _legible(item, read_at)) is not None]

    async def _get(self, path: str, **query: str | int) -> Any:
        try:
            response = await self._client.get(path, params=query)
        except HTTPError as error:
            raise OpenRouterAway(f"{type(error).__name__} at {path.split('/')[1]}") from error
        _raise_for(response)
        try:
            return json.loads(response.content, parse_float=Decimal)["data"]
        except (ValueError, KeyError, TypeError) as error:
            raise OpenRouterAway("the answer cannot be read") from error


def _raise_for(response: Response) -> None:
    status = response.status_code
    if status == _OK:
        return
    if status == _NOT_FOUND:
        raise LlmKeyNotFound
    if status == _TOO_MANY:
        raise RateLimited("OpenRouter limits our rate", retry_after=retry_after(response, default=60))
    if status in _REFUSED:
        raise ManagementKeyRefused(f"OpenRouter answered {status} to the management key")
    raise OpenRouterAway(f"OpenRouter answered {status}")


def _reading(item: Any, read_at: datetime) -> Reading:
    try:
        usage = item["usage"]
        if not isinstance(usage, Decimal | int) or isinstance(usage, bool) or usage < 0:
            raise OpenRouterAway("a key's usage is not an amount")
        return Reading(key_hash=str(item["hash"]), cumulative_micros=micros_of(usage), read_at=read_at)
    except (KeyError, TypeError) as error:
        raise OpenRouterAway("a key cannot be read") from error


def _legible(item: Any, read_at: datetime) -> Reading | None:
    try:
        return _reading(item, read_at)
    except OpenRouterAway:
        log.warning("llm_key.illegible")
        return None

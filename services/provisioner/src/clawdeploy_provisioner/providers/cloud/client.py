"""A cloud's API over HTTP: one budget of calls per token, typed errors, reading tried again, changing never."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import urlencode

import structlog
from pydantic import JsonValue, SecretStr

from clawdeploy_common.errors import PermanentError
from clawdeploy_common.http import AsyncClient, Response, TransportError, retry_after
from clawdeploy_provisioner.providers.budget import RateBudget, RateLimited
from clawdeploy_provisioner.providers.protocol import ProviderError, ProviderUnavailable

log = structlog.get_logger()

_SECONDS = 20.0
_TRIES = 3
_CLOSED_S = 10.0


class CloudUnavailable(ProviderUnavailable):
    """No answer, or one that asks to come again."""

    code = "cloud-unavailable"


class CloudRefused(ProviderError, PermanentError):
    """The request will not succeed as it is; ``error_code`` is the cloud's own."""

    code = "cloud-refused"
    title = "The cloud refused this"

    def __init__(self, vendor: str, *, status: int, error_code: str, message: str) -> None:
        super().__init__(f"{vendor} refused this: {message} ({error_code})")
        self.http_status = status
        self.error_code = error_code
        self.message = message


def budget_name(vendor: str, token: SecretStr, *, window: str = "") -> str:
    """The same for everybody with this token, and saying nothing of it."""
    known_by = hashlib.sha256(token.get_secret_value().encode()).hexdigest()[:16]
    return "/".join(part for part in (vendor, known_by, window) if part)


class CloudClient(ABC):
    """One account; ``http`` stays the caller's. ``again`` are the error codes that ask to come again.

    ``budgets``: every call takes from each; the first is the one that the answers' ``ratelimit-remaining`` speaks of.
    """

    vendor: ClassVar[str]
    again: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, http: AsyncClient, *, base_url: str, budgets: Sequence[RateBudget]) -> None:
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._budgets = budgets

    @abstractmethod
    async def _headers(self, method: str, url: str, content: bytes) -> dict[str, str]:
        """What shows who calls; ``url`` and ``content`` are sent exactly so."""

    @abstractmethod
    def _problem(self, answer: Any) -> tuple[str, str]:
        """The code and the message of a refusal."""

    async def get(self, path: str, **query: str | int) -> Any:
        """What is there; raises CloudUnavailable, CloudRefused, RateLimited."""
        for _ in range(_TRIES - 1):
            try:
                return await self._call("GET", path, query=query)
            except CloudUnavailable as error:
                log.info("cloud.asked_again", vendor=self.vendor, path=path, error=str(error))
        return await self._call("GET", path, query=query)

    async def find(self, path: str) -> Any | None:
        """The same; None when there is no such thing."""
        try:
            return await self.get(path)
        except CloudRefused as error:
            if error.http_status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def post(self, path: str, body: Mapping[str, JsonValue] | None = None) -> Any:
        """Change something, once; after CloudUnavailable nobody knows whether it happened."""
        return await self._call("POST", path, body=body or {})

    async def put(self, path: str, body: Mapping[str, JsonValue]) -> Any:
        """Set something to what it is to be; after CloudUnavailable nobody knows whether it happened, and it may be set again."""
        return await self._call("PUT", path, body=body)

    async def delete(self, path: str) -> Any:
        """Remove something; what is gone already is no error."""
        try:
            return await self._call("DELETE", path)
        except CloudRefused as error:
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
    ) -> Any:
        for budget in self._budgets:
            await budget.take()
        url = f"{self._base_url}{path}{'?' if query else ''}{urlencode(query or {})}"
        content = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = await self._headers(method, url, content)
        if content:
            headers["Content-Type"] = "application/json"
        try:
            response = await self._http.request(method, url, content=content, headers=headers, timeout=_SECONDS)
        except TransportError as error:
            reason = f"{self.vendor} does not answer ({type(error).__name__})"
            raise CloudUnavailable(reason, retry_after=2) from error
        await self._heed(response)
        return self._read(response)

    async def _heed(self, response: Response) -> None:
        """Their count of what is left is the right one."""
        remaining = response.headers.get("ratelimit-remaining", "")
        if remaining.isdigit():
            await self._budgets[0].correct(int(remaining))
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            seconds = retry_after(response, default=_CLOSED_S)
            await self._budgets[0].close(timedelta(seconds=seconds))
            raise RateLimited(f"{self.vendor}'s rate limit is used up", retry_after=seconds)

    def _read(self, response: Response) -> Any:
        if response.status_code == HTTPStatus.NO_CONTENT:
            return {}
        try:
            answer = json.loads(response.content, parse_float=Decimal)
        except ValueError as error:
            reason = f"{self.vendor} answered {response.status_code} with something unreadable"
            raise CloudUnavailable(reason, retry_after=2) from error
        if response.status_code < HTTPStatus.BAD_REQUEST:
            return answer
        code, message = self._problem(answer)
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR or code in self.again:
            raise CloudUnavailable(f"{self.vendor} cannot do this now: {message} ({code})", retry_after=2)
        raise CloudRefused(self.vendor, status=response.status_code, error_code=code, message=message)

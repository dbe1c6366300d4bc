"""Calls to the services behind the gateway: their rows, their machines, their agents."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

import structlog
from starlette.responses import StreamingResponse

from clawdeploy_api.errors import AgentUnavailable, Refused, ServiceUnavailable
from clawdeploy_api.settings import ApiSettings
from clawdeploy_common.http import AsyncBaseTransport, AsyncClient, Limits, Request, Response, Timeout, TransportError
from clawdeploy_common.telemetry import traced
from clawdeploy_common.tokens import InternalTokens

log = structlog.get_logger()

CONNECT_S = 2.0
STREAM_SILENCE_S = 900.0
_HELD = Limits(max_connections=5000, max_keepalive_connections=100)
"""Connections on which nothing happens for long must not take the others' places."""
_PASSED_ON = frozenset({400, 404, 409, 413, 422, 429})
_AGENTS_OWN = frozenset({"gateway-unreachable", "gateway-busy"})
"""Codes of a 503 that is the agent's trouble, not the service's."""

_SAID_WHY = frozenset({"log-incomplete", "provider-unavailable", "temporarily-unavailable"})
"""Codes of a 503 whose detail a service wrote for whoever asked."""

_STANDARD = frozenset({"type", "title", "status", "code", "detail", "instance"})


@dataclass(frozen=True, kw_only=True)
class Target:
    """A route of a service, and for whom it is called; ``is_held`` says that its answer is kept back on purpose."""

    service: str
    path: str
    account_id: UUID | None
    operator: bool = False
    query: Mapping[str, str | int | None] = field(default_factory=dict[str, str | int | None])
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    timeout_s: float = 10.0
    is_held: bool = False


class Forwarder:
    """Speaks to the other services with an internal token; who does not answer is named in a 503."""

    def __init__(
        self, settings: ApiSettings, tokens: InternalTokens, *, transport: AsyncBaseTransport | None = None
    ) -> None:
        self._bases = {
            "provisioner": settings.provisioner_url,
            "monitor": settings.monitor_url,
            "billing": settings.billing_url,
        }
        self._tokens = tokens
        self._http = traced(AsyncClient(transport=transport, trust_env=False))
        self._held = traced(AsyncClient(transport=transport, trust_env=False, limits=_HELD))

    async def close(self) -> None:
        """Give all connections back."""
        await self._http.aclose()
        await self._held.aclose()

    async def get(self, target: Target) -> dict[str, Any]:
        """A JSON object; raises Refused, ServiceUnavailable."""
        return await self._call("GET", target)

    async def post(self, target: Target, *, body: bytes | None = None) -> dict[str, Any]:
        """The same, asking for something to be done; empty for an answer without content."""
        return await self._call("POST", target, body)

    async def delete(self, target: Target) -> None:
        """The same, asking for something to be removed."""
        await self._call("DELETE", target)

    async def stream(self, method: str, target: Target, *, body: bytes | None = None) -> StreamingResponse:
        """Pass an answer through as it comes; when the caller leaves, the call behind is ended too."""
        timeout = Timeout(STREAM_SILENCE_S, connect=CONNECT_S)
        async with AsyncExitStack() as stack:
            request = self._request(method, target, body, timeout)
            try:
                response = await self._http.send(request, stream=True)
            except TransportError as error:
                raise _away(target, error) from error
            stack.push_async_callback(response.aclose)
            if response.status_code >= 400:  # noqa: PLR2004 - where errors begin
                await response.aread()
                raise _refused(target, response)
            kept = stack.pop_all()
        media_type = response.headers.get("content-type", "application/octet-stream")
        return StreamingResponse(
            _pass_through(target, response, kept), status_code=response.status_code, media_type=media_type
        )

    async def _call(self, method: str, target: Target, body: bytes | None = None) -> dict[str, Any]:
        timeout = Timeout(target.timeout_s, connect=min(CONNECT_S, target.timeout_s))
        http = self._held if target.is_held else self._http
        try:
            response = await http.send(self._request(method, target, body, timeout))
        except TransportError as error:
            raise _away(target, error) from error
        if response.status_code >= 400:  # noqa: PLR2004 - where errors begin
            raise _refused(target, response)
        return _object(target, response) if response.content else {}

    def _request(self, method: str, target: Target, body: bytes | None, timeout: Timeout) -> Request:
        return self._http.build_request(
            method,
            self._bases[target.service].rstrip("/") + target.path,
            headers=self._headers(target, body),
            params=_query(target),
            content=body,
            timeout=timeout,
        )

    def _headers(self, target: Target, body: bytes | None) -> dict[str, str]:
        token = self._tokens.issue(target.service, account_id=target.account_id, operator=target.operator)
        headers = {**target.headers, "Authorization": f"Bearer {token}"}
        return headers if body is None else {**headers, "Content-Type": "application/json"}


async def _pass_through(target: Target, response: Response, kept: AsyncExitStack) -> AsyncGenerator[bytes]:
    async with kept:
        try:
            async for chunk in response.aiter_bytes():
                yield chunk
        except TransportError as error:  # the status is sent: ending early is all that is left to say
            log.warning("stream.broken", service=target.service, path=target.path, error=type(error).__name__)


def _query(target: Target) -> dict[str, str | int]:
    return {name: value for name, value in target.query.items() if value is not None}


def _object(target: Target, response: Response) -> dict[str, Any]:
    try:
        found: Any = response.json()
    except ValueError as error:
        raise ServiceUnavailable(target.service, "answered something unreadable") from error
    if not isinstance(found, dict):
        raise ServiceUnavailable(target.service, "answered something unreadable")
    return cast("dict[str, Any]", found)


def _away(target: Target, error: TransportError) -> ServiceUnavailable:
    log.info("service.unavailable", service=target.service, path=target.path, error=type(error).__name__)
    return ServiceUnavailable(target.service, "does not answer")


def _refused(target: Target, response: Response) -> Refused | AgentUnavailable | ServiceUnavailable:
    """A refusal of the caller's doing as it was said, and the agent's own trouble; anything else is the platform's."""
    try:
        body = _object(target, response)
    except ServiceUnavailable:
        body = {}
    if body.get("code") in _AGENTS_OWN:
        return AgentUnavailable(str(body.get("detail") or "it may be starting"), retry_after=2)
    if response.status_code not in _PASSED_ON:
        log.warning("service.refused", service=target.service, path=target.path, status=response.status_code)
        why = f": {body.get('detail')}" if body.get("code") in _SAID_WHY else ""
        return ServiceUnavailable(target.service, f"cannot answer this now{why}")
    extensions = {name: value for name, value in body.items() if name not in _STANDARD}
    return Refused(
        response.status_code,
        str(body.get("code") or "refused"),
        str(body.get("title") or f"{target.service} refused this"),
        str(body.get("detail") or ""),
        **extensions,
    )

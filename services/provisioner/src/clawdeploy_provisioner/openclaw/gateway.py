"""Talking to one running gateway: probes, admin RPC, models and chat. Bodies are never logged."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from clawdeploy_common import http as httpx
from clawdeploy_common.errors import ClawDeployError, PermanentError, TemporaryError
from clawdeploy_provisioner.openclaw.config import GatewayIdentity

_CLIENT_ADDRESS = "192.0.2.1"
"""From the documentation range (RFC 5737): the gateway refuses a forwarded request whose client would be loopback."""
_PROBE_SECONDS = 3.0
_RPC_SECONDS = 60.0
_FIRST_BYTE_SECONDS = 600.0

_Answer = TypeVar("_Answer", bound=BaseModel)


class GatewayError(Exception):
    """Root of what talking to a gateway raises; each leaf is temporary or permanent too."""


class GatewayUnreachable(GatewayError, TemporaryError):
    """Nothing answered, or it broke off."""

    code = "gateway-unreachable"
    title = "The agent does not answer"


class GatewayBusy(GatewayError, TemporaryError):
    """The gateway is there but starting, draining or suspended (503)."""

    code = "gateway-busy"
    title = "The agent is not available at the moment"


class GatewayAnswerUnreadable(GatewayError, TemporaryError):
    """The answer is not what this address promises; OpenClaw answers an unknown path with 200 and a web page."""

    code = "gateway-answer-unreadable"


class GatewayRefused(GatewayError, PermanentError):
    """The gateway does not accept who we are (401, 403): its identity is not the one we recorded."""

    code = "gateway-refused"


class RpcFailed(GatewayError, PermanentError):
    """A method was refused; ``error_code`` is OpenClaw's own."""

    code = "gateway-rpc-failed"

    def __init__(self, method: str, error_code: str, message: str) -> None:
        super().__init__(f"{method}: {message}")
        self.method = method
        self.error_code = error_code


class Startup(BaseModel):
    """``/startupz``."""

    status: str
    version: str | None = None

    @property
    def started(self) -> bool:
        """Whether the gateway has finished starting; this, and not ``/readyz``, ends a start."""
        return self.status == "started"


class Live(BaseModel):
    """``/healthz``: the process answers."""

    ok: bool
    status: str


class _RpcError(BaseModel):
    code: str = "UNKNOWN"
    message: str = "refused without a reason"


class _RpcAnswer(BaseModel):
    ok: bool
    payload: JsonValue = None
    error: _RpcError = _RpcError()


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    object: str
    data: list[_Model]


@dataclass(frozen=True, kw_only=True)
class ChatAnswer:
    """An answer that is being written; ``chunks`` are the body's bytes as they come, server-sent events when streaming."""

    status: int
    content_type: str
    chunks: AsyncIterator[bytes]


class GatewayClient:
    """One gateway, spoken to as the platform's proxy; ``http`` is shared by all clients and stays the caller's."""

    def __init__(self, base_url: str, identity: GatewayIdentity, *, http: httpx.AsyncClient) -> None:
        self._base_url = base_url
        self._http = http
        self._headers = proxy_headers(identity)

    async def startup(self) -> Startup:
        """How far the start is; a gateway that has not opened its port yet raises GatewayUnreachable."""
        return await self._probe("/startupz", Startup)

    async def live(self) -> Live:
        """Whether the process answers."""
        return await self._probe("/healthz", Live)

    async def models(self) -> list[str]:
        """The names chat accepts as ``model``, such as ``openclaw/default``."""
        response = await self._request("GET", "/v1/models", seconds=_RPC_SECONDS)
        _raise_for_status(response)
        return [model.id for model in _parsed(response, _Models).data]

    async def rpc(self, method: str, params: Mapping[str, JsonValue] | None = None) -> JsonValue:
        """Call a method of the admin HTTP RPC; answers its payload.

        Raises:
            RpcFailed: the method was refused.
            GatewayBusy: the gateway is starting, draining or suspended.
        """
        body: dict[str, JsonValue] = {"method": method, "params": dict(params or {})}
        response = await self._request("POST", "/api/v1/admin/rpc", seconds=_RPC_SECONDS, json=body)
        if response.status_code != HTTPStatus.BAD_REQUEST:
            _raise_for_status(response)
        answer = _parsed(response, _RpcAnswer)
        if not answer.ok:
            raise RpcFailed(method, answer.error.code, answer.error.message)
        return answer.payload

    @asynccontextmanager
    async def chat(self, body: Mapping[str, JsonValue]) -> AsyncGenerator[ChatAnswer]:
        """Send an OpenAI-compatible request and hand its answer on as it comes, errors of the model included.

        Raises:
            GatewayUnreachable: nothing answered; once chunks flow, ``chunks`` raises it instead.
        """
        try:
            async with self._http.stream(
                "POST",
                f"{self._base_url}/v1/chat/completions",
                json={"model": "openclaw", **body},
                headers=self._headers,
                timeout=httpx.Timeout(_FIRST_BYTE_SECONDS, connect=_PROBE_SECONDS),
            ) as response:
                if response.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                    _raise_for_status(response)
                content_type = response.headers.get("content-type", "application/json")
                yield ChatAnswer(status=response.status_code, content_type=content_type, chunks=response.aiter_bytes())
        except httpx.TransportError as error:
            raise _unreachable(error) from error

    async def _probe(self, path: str, kind: type[_Answer]) -> _Answer:
        """Probes say 503 while the answer is no; their body still tells what it is."""
        return _parsed(await self._request("GET", path, seconds=_PROBE_SECONDS), kind)

    async def _request(self, method: str, path: str, *, seconds: float, json: JsonValue = None) -> httpx.Response:
        try:
            return await self._http.request(
                method,
                f"{self._base_url}{path}",
                json=json,
                headers=self._headers,
                timeout=httpx.Timeout(seconds, connect=_PROBE_SECONDS),
            )
        except httpx.TransportError as error:
            raise _unreachable(error) from error


def proxy_headers(identity: GatewayIdentity) -> dict[str, str]:
    """What makes a request the platform's own; a proxy sets these and removes what a client sent under the same names."""
    return {"X-Forwarded-For": _CLIENT_ADDRESS, "X-Forwarded-Proto": "http", identity.header: identity.user}


def _parsed(response: httpx.Response, kind: type[_Answer]) -> _Answer:
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        _raise_for_status(response)
        raise GatewayAnswerUnreadable(
            f"{response.url.path} answered {response.status_code} with something else"
        ) from error


def _raise_for_status(response: httpx.Response) -> None:
    status, path = response.status_code, response.url.path
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise GatewayRefused(f"{path} answered {status}")
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        raise GatewayBusy(f"{path} answered {status}", retry_after=2)
    if status >= HTTPStatus.BAD_REQUEST:
        raise GatewayAnswerUnreadable(f"{path} answered {status}", retry_after=2)


def _unreachable(error: httpx.TransportError) -> ClawDeployError:
    return GatewayUnreachable(
        f"its gateway cannot be reached ({type(error).__name__}); it may be starting", retry_after=1
    )

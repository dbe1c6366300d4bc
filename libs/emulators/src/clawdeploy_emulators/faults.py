"""Faults of an outside API, switched on per call: a silence before or after the effect, a rate limit, a server error.

A cloud has faults of its own besides: actions that fail or never end, listings that leave something out.
"""

import asyncio
import math
import re
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import httpx
import structlog
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

log = structlog.get_logger()

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class FaultKind(StrEnum):
    """What goes wrong."""

    TIMEOUT_BEFORE = "timeout_before"  # silence, then a dropped connection; nothing was done
    TIMEOUT_AFTER = "timeout_after"  # it was done, and no answer ever comes
    RATE_LIMIT = "rate_limit"  # 429 with the API's own headers; nothing was done
    SERVER_ERROR = "server_error"  # 500; nothing was done
    GATEWAY_TIMEOUT = "gateway_timeout"  # 504; it was done
    ACTION_ERROR = "action_error"  # the action that the call begins fails in the end
    ACTION_ENDLESS = "action_endless"  # the action that the call begins never ends
    LISTING_EMPTY = "listing_empty"  # 200 with nothing in it
    LISTING_SHORT = "listing_short"  # 200 with the first half of what there is


ON_THE_WIRE = frozenset(
    {
        FaultKind.TIMEOUT_BEFORE,
        FaultKind.TIMEOUT_AFTER,
        FaultKind.RATE_LIMIT,
        FaultKind.SERVER_ERROR,
        FaultKind.GATEWAY_TIMEOUT,
    }
)
SCOPE_KEY = "clawdeploy.fault"  # where a request's scope holds the kind of a fault that the application itself plays


class UnsupportedFault(ValueError):
    """A stand-in has no such fault."""

    def __init__(self, kind: FaultKind) -> None:
        super().__init__(f"no such fault here: {kind.value}")
        self.kind = kind


class Fault(BaseModel):
    """One fault: which calls it meets, how often it still strikes, and how long a silence lasts (or Retry-After says)."""

    model_config = ConfigDict(extra="forbid")

    kind: FaultKind
    method: str | None = Field(default=None, description="HTTP method; any when absent")
    path_prefix: str = Field(
        default="/", description="whole path, or the path below the API's base; a star is any one segment"
    )
    times: int = Field(default=1, ge=1, description="strikes left")
    seconds: float = Field(default=30.0, ge=0, le=3600)

    def meets(self, *, method: str, paths: tuple[str, ...]) -> bool:
        """Whether a call with this method and any of these spellings of its path is struck."""
        if self.method is not None and self.method.upper() != method.upper():
            return False
        pattern = "[^/]+".join(re.escape(part) for part in self.path_prefix.split("*"))
        return any(re.match(pattern, path) for path in paths)


class FaultSwitch:
    """The faults that are on. Kept in memory only: a restarted stand-in is a healthy one."""

    def __init__(self, *, base_path: str, kinds: frozenset[FaultKind] = ON_THE_WIRE) -> None:
        self._base_path = base_path
        self._kinds = kinds
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def replace(self, faults: list[Fault]) -> None:
        """Forget the faults that are on and switch these on, the first that meets a call strikes it.

        Raises UnsupportedFault, and changes nothing, when one of them is not played here.
        """
        for fault in faults:
            if fault.kind not in self._kinds:
                raise UnsupportedFault(fault.kind)
        with self._lock:
            self._faults = [fault.model_copy() for fault in faults]

    def pending(self) -> list[Fault]:
        """The faults with strikes left."""
        with self._lock:
            return [fault.model_copy() for fault in self._faults]

    def strike(self, *, method: str, path: str) -> Fault | None:
        """Take one strike off the first fault that meets the call and return it. Only calls below the base path are met."""
        if not path.startswith(self._base_path):
            return None
        paths = (path, path.removeprefix(self._base_path))
        with self._lock:
            fault = next((item for item in self._faults if item.meets(method=method, paths=paths)), None)
            if fault is None:
                return None
            fault.times -= 1
            self._faults = [item for item in self._faults if item.times > 0]
        return fault


class FaultyFastAPI(FastAPI):
    """A FastAPI application whose calls first pass a switch of faults.

    Outside every middleware, because a dropped connection needs the server's own `send`. What is not on the wire is
    left to the application, which finds it in the request's scope.
    """

    def __init__(
        self,
        *,
        faults: FaultSwitch,
        error_body: Callable[[int, str], dict[str, Any]],
        limit_headers: Callable[[int], dict[str, str]],
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.faults = faults
        self._error_body = error_body
        self._limit_headers = limit_headers

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        fault = self._fault_of(scope)
        if fault is None:
            await super().__call__(scope, receive, send)
            return
        log.warning("fault.struck", kind=fault.kind.value, method=scope["method"], path=scope["path"])
        match fault.kind:
            case FaultKind.RATE_LIMIT:
                headers = self._limit_headers(math.ceil(fault.seconds))
                await self._refusal(429, "Rate limit exceeded", headers)(scope, receive, send)
            case FaultKind.SERVER_ERROR:
                await self._refusal(500, "Internal Server Error")(scope, receive, send)
            case FaultKind.GATEWAY_TIMEOUT:
                await super().__call__(scope, receive, _swallow)
                await self._refusal(504, "Gateway Timeout")(scope, receive, send)
            case FaultKind.TIMEOUT_BEFORE:
                await _fall_silent(receive, send, seconds=fault.seconds)
            case FaultKind.TIMEOUT_AFTER:
                await super().__call__(scope, receive, _swallow)
                await _fall_silent(receive, send, seconds=fault.seconds)
            case _:
                scope[SCOPE_KEY] = fault.kind
                await super().__call__(scope, receive, send)

    def _fault_of(self, scope: Message) -> Fault | None:
        if scope["type"] != "http":
            return None
        return self.faults.strike(method=scope["method"], path=scope["path"])

    def _refusal(self, status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
        return JSONResponse(self._error_body(status, message), status, headers)


@runtime_checkable
class _Abortable(Protocol):
    def abort(self) -> None: ...


async def _swallow(message: Message) -> None:
    """Let the answer be made and lost."""
    del message


async def _fall_silent(receive: Receive, send: Send, *, seconds: float) -> None:
    """Say nothing until the caller hangs up or the time is over, then drop the connection."""
    try:
        async with asyncio.timeout(seconds):
            await _hung_up(receive)
    except TimeoutError:
        await _drop(receive, send)


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _drop(receive: Receive, send: Send) -> None:
    """Close the connection without an answer.

    ASGI has no word for it: uvicorn's `send` is a method of the object that holds the transport; a client mounted in
    process (httpx.ASGITransport) is told what it would have seen on the wire.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if not isinstance(transport, _Abortable):
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
    transport.abort()
    await _hung_up(receive)

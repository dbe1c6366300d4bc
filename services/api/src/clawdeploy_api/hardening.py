"""What every request and answer goes through: body limits, media types, security headers. Plain ASGI, so that streams pass untouched."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clawdeploy_common.problems import problem

MAX_BODY_BYTES = 1024 * 1024
_NO_STYLE = "default-src 'none'; frame-ancestors 'none'"
_PAGE = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class SecurityHeaders:
    """Headers that keep browsers from guessing, framing, leaking and remembering (OWASP secure headers)."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._headers = dict(_HEADERS)
        if https:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add them to every answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                is_page = headers.get("content-type", "").startswith("text/html")
                headers["Content-Security-Policy"] = _PAGE if is_page else _NO_STYLE
            await send(message)

        await self._app(scope, receive, hardened)


class AllowHeader:
    """A 405 names every method of the path (RFC 9110 §15.5.6); the framework names those of the first route only."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Complete the header."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def completed(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == HTTPStatus.METHOD_NOT_ALLOWED:
                MutableHeaders(scope=message)["Allow"] = ", ".join(sorted(_methods(scope["app"], scope["path"])))
            await send(message)

        await self._app(scope, receive, completed)


def _methods(app: FastAPI, path: str) -> set[str]:
    routes = [route for route in iter_route_contexts(app.routes) if route.path and route.methods]
    return {
        method
        for route in routes
        if route.path and compile_path(route.path)[0].match(path)
        for method in route.methods or ()
    }


class BodyLimits:
    """Reads a body before anybody else does: too much is 413, what is not JSON is 415."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is small enough and JSON."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        body = await _read(request, receive)
        if body is None:
            detail = f"a body may have {MAX_BODY_BYTES} bytes"
            answer = problem(request, status=413, code="body-too-large", title="The body is too large", detail=detail)
            answer.headers["Connection"] = "close"
            await answer(scope, receive, send)
        elif body and not _is_json(request):
            answer = problem(
                request,
                status=415,
                code="unsupported-media-type",
                title="The body is not JSON",
                detail="send Content-Type: application/json",
            )
            await answer(scope, receive, send)
        else:
            await self._app(scope, _replaying(body, receive), send)


async def _read(request: Request, receive: Receive) -> bytes | None:
    """The whole body, or None when it is larger than allowed (then as little of it as possible was read)."""
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        return None
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            return None
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)


def _is_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))


def _replaying(body: bytes, receive: Receive) -> Callable[[], Awaitable[Any]]:
    """A receive that gives the body that was read, then goes on with what comes."""
    given = False

    async def replay() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay

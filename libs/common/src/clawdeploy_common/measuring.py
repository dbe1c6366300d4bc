"""Request counts and durations by route template, as plain ASGI so that streams pass through untouched."""

import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clawdeploy_common.metrics import HTTP_REQUESTS, HTTP_SECONDS
from clawdeploy_common.telemetry import is_quiet

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})  # a caller may send any word


class RequestMetrics:
    """Counts every request under its route's template, never under a path with ids in it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note its status and duration to the response's start."""
        if scope["type"] != "http" or is_quiet(scope):
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                route: Any = scope.get("route")
                template = getattr(route, "path", "unmatched")
                method = scope["method"] if scope["method"] in _METHODS else "OTHER"
                HTTP_REQUESTS.labels(method, template, f"{message['status'] // 100}xx").inc()
                HTTP_SECONDS.labels(method, template).observe(time.perf_counter() - started)
            await send(message)

        await self._app(scope, receive, noting)

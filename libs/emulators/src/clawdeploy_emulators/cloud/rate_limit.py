"""How many calls an account may make: judged before anything else, and told in the headers of every answer."""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a call passes, and the headers that say how many more would."""

    passes: bool
    headers: dict[str, str]


class Limiter(Protocol):
    """A provider's rule of counting."""

    def judge(self, *, method: str, path: str, now: datetime) -> Verdict:
        """Count one call."""
        ...

    def refusal_headers(self, seconds: int) -> dict[str, str]:
        """What is said beside a 429 that is over in so many seconds."""
        ...


class NoLimiter:
    """For a provider that publishes no limit: everything passes and nothing is said of it."""

    def judge(self, *, method: str, path: str, now: datetime) -> Verdict:
        """Let it pass."""
        del method, path, now
        return Verdict(passes=True, headers={})

    def refusal_headers(self, seconds: int) -> dict[str, str]:
        """When to come back, as RFC 9110 says it."""
        return {"Retry-After": str(seconds)}


class RateLimited:
    """ASGI middleware: refuses what is too much, and adds the provider's headers to every answer below its base path."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        base_path: str,
        limiter: Limiter,
        clock: Callable[[], datetime],
        refusal: dict[str, Any],
    ) -> None:
        self._app = app
        self._base_path = base_path
        self._limiter = limiter
        self._clock = clock
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(self._base_path):
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(self._base_path)
        verdict = self._limiter.judge(method=scope["method"], path=path, now=self._clock())
        if not verdict.passes:
            await JSONResponse(self._refusal, 429, verdict.headers)(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add(message, verdict.headers)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _add(message: MutableMapping[str, Any], headers: dict[str, str]) -> None:
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    message["headers"] = [*message.get("headers", []), *pairs]

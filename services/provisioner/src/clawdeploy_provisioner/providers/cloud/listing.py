"""One listing serves everybody who asks within three seconds, so that many waits cost few calls."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from clawdeploy_provisioner.providers.cloud.account import Machine

FRESH_S = 3.0


class SharedListing:
    """The last listing, asked anew when it is old."""

    def __init__(self, ask: Callable[[], Awaitable[list[Machine]]]) -> None:
        self._ask = ask
        self._asking = asyncio.Lock()
        self._listed: list[Machine] = []
        self._listed_at = float("-inf")

    async def machines(self, *, fresh: bool) -> list[Machine]:
        """As listed at most three seconds ago; with ``fresh`` not before this call."""
        asked_at = time.monotonic()
        async with self._asking:
            if self._listed_at < (asked_at if fresh else asked_at - FRESH_S):
                began = time.monotonic()
                self._listed = await self._ask()
                self._listed_at = began
            return self._listed

    def forget(self) -> None:
        """Ask anew the next time."""
        self._listed_at = float("-inf")

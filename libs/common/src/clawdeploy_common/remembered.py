"""Something that costs a question and may be a few seconds old."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """Asks again when the last answer is older than ``seconds``; whoever comes meanwhile waits for that one question."""

    def __init__(self, ask: Callable[[], Awaitable[T]], *, seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._known: tuple[float, T] | None = None
        self._asking = asyncio.Lock()

    def forget(self) -> None:
        """After a change of ours the last answer is old."""
        self._known = None

    async def get(self) -> T:
        """The answer; raises what asking raises."""
        known = self._known
        if known is None or known[0] <= time.monotonic():
            async with self._asking:
                known = self._known  # another may have asked while we waited
                if known is None or known[0] <= time.monotonic():
                    known = self._known = (time.monotonic() + self._seconds, await self._ask())
        return known[1]

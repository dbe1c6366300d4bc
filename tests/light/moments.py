"""Moments in the life of a deploy, such as "before start": a test makes one fail, or holds the runner there."""

import asyncio
from collections import defaultdict


class Hold:
    """A moment at which whoever comes first stands still until it is released."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._released = asyncio.Event()

    def release(self) -> None:
        """Let it go on."""
        self._released.set()

    async def stand_still(self) -> None:
        """Wait for the release."""
        self.reached.set()
        await self._released.wait()


class Moments:
    """A hook for the light provider; ``seen`` lists every moment that was reached."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._failures: dict[str, list[BaseException | None]] = defaultdict(list)
        self._holds: dict[str, list[Hold]] = defaultdict(list)

    def fail(self, moment: str, error: BaseException, *, times: int = 1, after: int = 0) -> None:
        """Raise ``error`` at the next ``times`` visits of the moment, letting ``after`` visits pass first."""
        self._failures[moment] += [None] * after + [error] * times

    def mend(self) -> None:
        """Forget all failures."""
        self._failures.clear()

    def hold(self, moment: str) -> Hold:
        """Make the next visitor stand still."""
        hold = Hold()
        self._holds[moment].append(hold)
        return hold

    async def __call__(self, moment: str) -> None:
        """Reach a moment."""
        self.seen.append(moment)
        if self._holds[moment]:
            await self._holds[moment].pop(0).stand_still()
        if self._failures[moment]:
            error = self._failures[moment].pop(0)
            if error is not None:
                raise error

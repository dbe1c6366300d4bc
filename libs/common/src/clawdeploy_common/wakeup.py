"""An in-process signal with a timeout: wake-up after commit, plus a short poll for what other replicas did."""

import asyncio


class Wakeup:
    """Set by who has work for somebody, awaited by who does it; several sets before a wait count once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake the waiter now or at its next wait."""
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Return when set, or after ``seconds``."""
        try:
            await asyncio.wait_for(self._event.wait(), seconds)
        except TimeoutError:
            return
        finally:
            self._event.clear()

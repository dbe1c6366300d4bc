"""An in-process signal with a timeout: wake-up after commit, plus a short poll for what other replicas did."""

import asyncio
from uuid import UUID


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
            async with asyncio.timeout(
                seconds
            ):  # wait_for loses a cancellation that comes with the signal (Python 3.11)
                await self._event.wait()
        except TimeoutError:
            return
        finally:
            self._event.clear()


class Signals:
    """Wake-ups by id, for any number of waiters; what is not waited for costs nothing."""

    def __init__(self) -> None:
        self._events: dict[UUID, asyncio.Event] = {}

    def next(self, key: UUID) -> asyncio.Event:
        """The event of the next signal; take it before looking, so that nothing between looking and waiting is missed."""
        return self._events.setdefault(key, asyncio.Event())

    def set(self, key: UUID) -> None:
        """Wake everybody who waits for this id."""
        event = self._events.pop(key, None)
        if event is not None:
            event.set()

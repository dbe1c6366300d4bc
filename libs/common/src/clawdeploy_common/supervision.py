"""Background tasks of a service: each is restarted when it fails, and all end with the service."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import structlog

log = structlog.get_logger()

_FIRST_DELAY_S, _MAX_DELAY_S = 0.2, 10.0


class TaskGroup:
    """Named loops that run until the service stops."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Run a loop; when it raises or returns it is started again, after a delay that doubles up to ten seconds."""
        self._tasks.append(asyncio.create_task(_keep(name, loop), name=name))

    async def stop(self) -> None:
        """Cancel all loops and wait for them; one that lost its cancellation is told again."""
        await end(self._tasks)
        self._tasks.clear()


async def end(tasks: Collection[asyncio.Task[Any]], *, again_s: float = 5.0) -> None:
    """Cancel tasks and wait until they have ended; their errors stay with them."""
    running = {task for task in tasks if not task.done()}
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=again_s)


async def _keep(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    delay = _FIRST_DELAY_S
    while True:
        started = asyncio.get_running_loop().time()
        try:
            await loop()
        except Exception as error:
            log.warning(
                "task.restarted", task=name, delay_s=delay, error=f"{type(error).__name__}: {error}", exc_info=True
            )
        if asyncio.get_running_loop().time() - started > _MAX_DELAY_S:
            delay = _FIRST_DELAY_S
        await asyncio.sleep(delay)
        delay = min(delay * 2, _MAX_DELAY_S)

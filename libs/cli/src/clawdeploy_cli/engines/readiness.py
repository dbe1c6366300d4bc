"""Waiting until an engine answers."""

import asyncio
from collections.abc import Awaitable, Callable

POLL_SECONDS = 0.1


class EngineNotReady(Exception):
    """An engine did not answer in time."""

    def __init__(self, engine: str, *, seconds: float) -> None:
        super().__init__(f"{engine} did not answer within {seconds:g} s")
        self.engine = engine
        self.seconds = seconds


async def wait_until_ready(engine: str, is_ready: Callable[[], Awaitable[bool]], *, seconds: float) -> None:
    """Ask `is_ready` until it says yes.

    Raises:
        EngineNotReady: it did not within `seconds`.
    """
    try:
        async with asyncio.timeout(seconds):
            while not await is_ready():  # noqa: ASYNC110 - another process has no event of ours
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError as error:
        raise EngineNotReady(engine, seconds=seconds) from error

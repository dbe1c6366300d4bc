"""Between coroutines and threads: nobody runs ahead, and nobody is left behind."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from clawdeploy_provisioner.kept_state.bridging import awaited, stepped


class Source:
    """One chunk, and then none for ever."""

    def __init__(self) -> None:
        self.waits, self.closed = asyncio.Event(), False

    async def chunks(self) -> AsyncGenerator[bytes]:
        try:
            yield b"first"
            self.waits.set()
            await asyncio.Event().wait()
        finally:
            self.closed = True


async def test_who_is_cancelled_while_a_thread_waits_leaves_nobody_behind() -> None:
    """INVARIANT: a provisioner that ends, or lost its lease, ends what it had begun on a server."""
    source = Source()

    async def read() -> None:
        async with (
            aclosing(source.chunks()) as chunks,
            awaited(chunks) as blocking,
            aclosing(stepped(blocking)) as steps,
        ):
            _ = [chunk async for chunk in steps]

    task = asyncio.create_task(read())
    await source.waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.closed


async def test_an_error_of_the_source_is_the_readers() -> None:
    async def broken() -> AsyncGenerator[bytes]:
        yield b"first"
        raise LookupError

    async with awaited(broken()) as blocking, aclosing(stepped(blocking)) as steps:
        assert await anext(steps) == b"first"
        with pytest.raises(LookupError):
            await anext(steps)

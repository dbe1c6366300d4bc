"""Streams between coroutines and the threads in which tars are read: one chunk at a time, so that nobody runs ahead."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager


async def stepped(blocking: Iterator[bytes]) -> AsyncGenerator[bytes]:
    """The chunks of an iterator that blocks."""
    while (chunk := await asyncio.to_thread(next, blocking, None)) is not None:
        yield chunk


@asynccontextmanager
async def awaited(chunks: AsyncIterator[bytes]) -> AsyncGenerator[Iterator[bytes]]:
    """The chunks of an asynchronous iterator, for a thread. Whoever leaves, cancelled or not, leaves no thread waiting for the next one,
    and nobody at work in ``chunks``.
    """
    source = _Source(chunks)
    try:
        yield source.blocking(asyncio.get_running_loop())
    finally:
        await source.end()


class _Source:
    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._asked: asyncio.Task[bytes | None] | None = None
        self._ended = False

    def blocking(self, loop: asyncio.AbstractEventLoop) -> Iterator[bytes]:
        while (chunk := asyncio.run_coroutine_threadsafe(self._next(), loop).result()) is not None:
            yield chunk

    async def end(self) -> None:
        self._ended = True
        if self._asked is not None:
            self._asked.cancel()
            await asyncio.wait({self._asked})

    async def _next(self) -> bytes | None:
        if self._ended:
            return None
        self._asked = asyncio.ensure_future(anext(self._chunks, None))
        return await self._asked

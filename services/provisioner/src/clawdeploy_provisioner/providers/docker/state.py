"""An agent's state in a cell, read and written through the engine's archives, whether the container runs or not."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

from clawdeploy_provisioner.kept_state.bridging import awaited, stepped
from clawdeploy_provisioner.kept_state.sieve import sieved
from clawdeploy_provisioner.providers.docker.cell import STATE
from clawdeploy_provisioner.providers.docker.engine import Engine


async def size(engine: Engine, container: str) -> int:
    """Bytes of its tar: the engine counts nothing, so it is read through."""
    return await engine.ask(lambda api: sum(map(len, _kept(api, container))))


async def read(engine: Engine, container: str) -> AsyncGenerator[bytes]:
    """Its tar."""
    async with aclosing(stepped(engine.asking(lambda api: _kept(api, container)))) as chunks:
        async for chunk in chunks:
            yield chunk


async def write(engine: Engine, container: str, chunks: AsyncIterator[bytes]) -> None:
    """Into its volume; the tar says who owns what."""
    async with awaited(chunks) as blocking:
        await engine.ask(lambda api: api.put_archive(container, str(STATE), blocking))


def _kept(api: Any, container: str) -> Iterator[bytes]:
    chunks, _ = api.get_archive(container, str(STATE))
    return sieved(iter(chunks), inside=STATE.name)

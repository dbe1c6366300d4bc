"""What a cell wrote: its last lines, and new ones as they come."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from clawdeploy_common.redaction import Redactor
from clawdeploy_provisioner.providers.docker.engine import Engine, Missing
from clawdeploy_provisioner.providers.process.journal import LINE_LIMIT
from clawdeploy_provisioner.providers.protocol import ProviderError

LAST_LINES = 20
_WAITING_LINES = 10_000
_LOOK_AGAIN_S = 0.5


async def last_lines(engine: Engine, container_id: str, *, count: int, redactor: Redactor) -> list[str]:
    """The last ``count`` lines of stdout and stderr, redacted; none of a container that is gone."""
    if count <= 0:
        return []
    raw = await engine.find(lambda api: api.logs(container_id, tail=count))
    return [shown(line, redactor) for line in (raw or b"").decode(errors="replace").splitlines()][-count:]


def shown(line: str, redactor: Redactor) -> str:
    """A line as people see it."""
    redacted = redactor.redact(line.rstrip("\r"))
    return redacted if len(redacted) <= LINE_LIMIT else f"{redacted[:LINE_LIMIT]}…"


async def follow(engine: Engine, container_id: str, *, redactor: Redactor) -> AsyncIterator[str]:
    """New whole lines of one container, over its stops and starts, until it is gone; starts at its end.

    A thread of its own reads the engine's stream; leaving the iterator closes the stream, which ends the thread.
    """
    since = time.time()
    while await _is_there(engine, container_id):
        stream = await engine.ask(
            lambda api, since=since: api.logs(container_id, stream=True, follow=True, since=since, timestamps=False)
        )
        async for line in _lines(stream):
            since = time.time()
            yield shown(line, redactor)
        since = max(since, time.time() - _LOOK_AGAIN_S)
        await asyncio.sleep(_LOOK_AGAIN_S)


async def _lines(stream: Any) -> AsyncIterator[str]:
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING_LINES)
    reading = asyncio.create_task(asyncio.to_thread(_read, stream, queue, asyncio.get_running_loop()))
    rest = b""
    try:
        while (chunk := await queue.get()) is not None:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line.decode(errors="replace")
    finally:
        with suppress(Exception):  # the SDK's close() fails on a connection that has ended by itself
            stream.close()
        reading.cancel()


def _read(stream: Any, queue: "asyncio.Queue[bytes | None]", loop: asyncio.AbstractEventLoop) -> None:
    """Runs in the thread; a stream that is closed under it ends it."""
    with suppress(Exception):
        for chunk in stream:
            asyncio.run_coroutine_threadsafe(queue.put(chunk), loop).result()
    with suppress(RuntimeError):  # the loop has ended
        asyncio.run_coroutine_threadsafe(queue.put(None), loop)


async def _is_there(engine: Engine, container_id: str) -> bool:
    try:
        await engine.ask(lambda api: api.inspect_container(container_id))
    except Missing:
        return False
    except ProviderError:  # the engine is being restarted
        return True
    return True

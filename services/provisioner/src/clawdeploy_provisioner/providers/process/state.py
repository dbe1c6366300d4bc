"""An agent's state on this machine, read and written by tar under the agent's own uid: nothing leads out of its folders."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from clawdeploy_provisioner.kept_state import tar
from clawdeploy_provisioner.kept_state.bridging import awaited, stepped
from clawdeploy_provisioner.kept_state.sieve import CHUNK, sieved
from clawdeploy_provisioner.kept_state.tar import StateUnreadable
from clawdeploy_provisioner.providers.process.sight import Sight

_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


async def size(sight: Sight) -> int:
    """Bytes of its tar."""
    files = sight.files
    async with _running(tar.counting(str(files.state), beside=True), sight) as process:
        return tar.counted(await _said(process))


async def read(sight: Sight) -> AsyncGenerator[bytes]:
    """Its tar."""
    files = sight.files
    async with (
        _running(tar.packing(str(files.state), beside=True), sight, stdout=PIPE) as process,
        aclosing(_written_by(process)) as packed,
        awaited(packed) as blocking,
        aclosing(stepped(sieved(blocking))) as chunks,
    ):
        async for chunk in chunks:
            yield chunk


async def write(sight: Sight, chunks: AsyncIterator[bytes]) -> None:
    """Into its two folders: one tar for each."""
    files = sight.files
    argvs = tar.unpacking_state(str(files.state)), tar.unpacking_workspace(str(files.workspace))
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(_running(argv, sight, stdin=PIPE)) for argv in argvs]
        async for chunk in chunks:
            await asyncio.gather(*(_fed(process, chunk) for process in processes))
        for process in processes:
            _stdin(process).close()
            await _ended(process)


@asynccontextmanager
async def _running(
    argv: list[str], sight: Sight, *, stdin: int = DEVNULL, stdout: int = DEVNULL
) -> AsyncGenerator[Process]:
    """A program of the agent's user, killed if it has not ended by then."""
    uid = sight.cell.uid
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=stdin,
        stdout=stdout,
        stderr=PIPE,
        env=_ENVIRONMENT | sight.cell.marker,
        cwd="/",
        user=uid,
        group=uid,
        extra_groups=None if uid is None else [],
        umask=0o077,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _written_by(process: Process) -> AsyncGenerator[bytes]:
    while process.stdout is not None and (chunk := await process.stdout.read(CHUNK)):
        yield chunk
    await _ended(process)


async def _fed(process: Process, chunk: bytes) -> None:
    try:
        _stdin(process).write(chunk)
        await _stdin(process).drain()
    except (BrokenPipeError, ConnectionResetError):
        await _ended(process)


def _stdin(process: Process) -> asyncio.StreamWriter:
    if process.stdin is None:
        raise StateUnreadable("tar takes nothing")
    return process.stdin


async def _said(process: Process) -> str:
    """It says little: it is told to warn of little."""
    return (b"" if process.stderr is None else await process.stderr.read()).decode(errors="replace")


async def _ended(process: Process) -> None:
    """Raises StateUnreadable when it failed."""
    said = await _said(process)
    if await process.wait() != 0:
        raise StateUnreadable(said)

"""Supervisors over throw-away programs: real processes, real signals."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path
from typing import Any

from tests.engines.ports import free_ports

from clawdeploy_cli.engines.leash import leashed
from clawdeploy_cli.processes import identify
from clawdeploy_cli.supervisor.readiness import http_ok
from clawdeploy_cli.supervisor.spec import ProcessSpec
from clawdeploy_cli.supervisor.state import PlatformRecord, ServiceRecord
from clawdeploy_cli.supervisor.supervisor import Supervisor

PROGRAM = Path(__file__).with_name("supervised_program.py")


def spec(name: str, folder: Path, *options: str, **changes: Any) -> ProcessSpec:
    """A program of this name, ready when it answers over HTTP."""
    [port] = free_ports(1)
    argv = [sys.executable, str(PROGRAM), "--name", name, "--port", str(port), "--journal", str(folder / "journal")]
    given: dict[str, Any] = {
        "name": name,
        "argv": tuple(leashed([*argv, *options])),
        "environment": {"PATH": os.environ["PATH"]},
        "log": folder / f"{name}.log",
        "address": f"127.0.0.1:{port}",
        "is_ready": http_ok("127.0.0.1", port, "/readyz"),
    }
    return ProcessSpec(**{**given, **changes})


@contextlib.asynccontextmanager
async def supervising(specs: Iterable[ProcessSpec], folder: Path, **options: Any) -> AsyncGenerator[Supervisor]:
    """A supervisor that runs inside the block and has stopped in order after it."""
    identity = identify(os.getpid())
    assert identity is not None
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240 - one call on a local disk, in a test
    supervisor = Supervisor(list(specs), state_file=folder / "state.json", identity=identity, **options)
    stop = asyncio.Event()
    task = asyncio.create_task(supervisor.run(stop))
    try:
        yield supervisor
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


def service(supervisor: Supervisor, name: str) -> ServiceRecord:
    """What the supervisor says about one process."""
    return next(one for one in supervisor.record.services if one.name == name)


def journal(folder: Path) -> list[str]:
    """What happened so far: `<word> <name>`."""
    path = folder / "journal"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.rpartition(" ")[0] for line in lines]


async def until(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def all_ready(record: PlatformRecord) -> bool:
    """Whether every process of a record is ready."""
    return record.is_ready

"""Processes forked from a warm parent: they share its memory, and nothing else."""

import asyncio
import json
import os
import signal
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from tests.engines.ports import free_ports
from tests.integration.supervised import service, supervising, until

from clawdeploy_cli.engines.leash import leashed
from clawdeploy_cli.processes import ProcessIdentity, is_alive, wait_gone
from clawdeploy_cli.supervisor.forked import is_there
from clawdeploy_cli.supervisor.readiness import http_ok
from clawdeploy_cli.supervisor.spec import ProcessSpec
from clawdeploy_cli.supervisor.state import read_record
from clawdeploy_cli.supervisor.supervisor import Supervisor

REPOSITORY = Path(__file__).parents[2]
BORN = "tests.integration.born"
LONG_S = 300
"""More than this test takes: what ended was ended."""


def warm_parent(folder: Path, *modules: str) -> ProcessSpec:
    """A warm parent that knows the modules of this repository."""
    path = folder / "warm"
    argv = [sys.executable, "-m", "clawdeploy_cli.supervisor.warm_parent", str(path), *modules]
    return ProcessSpec(
        name="warm",
        argv=tuple(leashed(argv)),
        environment={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"},
        log=folder / "warm.log",
        is_ready=is_there(path),
    )


def born(name: str, folder: Path, module: str = BORN, environment: Mapping[str, str] | None = None) -> ProcessSpec:
    """A process that is forked there."""
    [port] = free_ports(1)
    return ProcessSpec(
        name=name,
        argv=(sys.executable, "-m", module, str(port)),
        environment={} if environment is None else environment,
        log=folder / f"{name}.log",
        is_ready=http_ok("127.0.0.1", port, "/readyz"),
        needs=("warm",),
        warm_parent=folder / "warm",
    )


def identity(supervisor: Supervisor, name: str) -> ProcessIdentity:
    found = service(supervisor, name).identity
    assert found is not None
    return found


def said(folder: Path, name: str) -> dict[str, Any]:
    """What the process wrote about itself in its last life."""
    return json.loads((folder / f"{name}.log").read_text().splitlines()[-1])


async def back(supervisor: Supervisor, name: str, *, after: ProcessIdentity) -> None:
    """Wait until it runs in another life and everything is ready."""
    await until(
        lambda: service(supervisor, name).identity not in {None, after} and supervisor.record.is_ready, seconds=60
    )


async def test_a_forked_process_is_the_supervisors_own_child_with_a_name_a_session_and_a_log(tmp_path: Path) -> None:
    async with supervising([warm_parent(tmp_path), born("one", tmp_path)], tmp_path) as supervisor:
        await until(lambda: supervisor.record.is_ready, seconds=60)
        pid, found = identity(supervisor, "one").pid, said(tmp_path, "one")
        process = psutil.Process(pid)
        assert process.cmdline()[0].split() == [BORN, *found["arguments"]]
        assert (process.ppid(), found["session"]) == (os.getpid(), pid)
        assert found["descriptors"] == 4  # three, and the one that looks
        assert psutil.Process(identity(supervisor, "warm").pid).num_threads() == 1


async def test_no_forked_process_finds_what_another_was_given(tmp_path: Path) -> None:
    """INVARIANT: each process knows its own environment alone, and /proc shows none of it."""
    specs = [
        born(name, tmp_path, environment={"PATH": os.environ["PATH"], f"KEY_OF_{name.upper()}": f"only for {name}"})
        for name in ("one", "two")
    ]
    async with supervising([warm_parent(tmp_path), *specs], tmp_path) as supervisor:
        await until(lambda: supervisor.record.is_ready, seconds=60)
        for given in specs:
            assert said(tmp_path, given.name)["environment"] == given.environment
        for name in ("warm", "one", "two"):
            process = Path(f"/proc/{identity(supervisor, name).pid}")
            assert b"only for" not in (process / "environ").read_bytes() + (process / "cmdline").read_bytes()


async def test_the_warm_parent_never_holds_what_it_does_not_pass_on(tmp_path: Path) -> None:
    """INVARIANT: whoever is forked later inherits the warm parent's memory, so no process's secret is ever in it."""
    secret = "a" + "-secret-of-one"  # in two parts, so that this test's own bytes are not found
    given = born("one", tmp_path, environment={"KEY": secret})
    async with supervising([warm_parent(tmp_path), given], tmp_path) as supervisor:
        await until(lambda: supervisor.record.is_ready, seconds=60)
        assert secret.encode() in memory(identity(supervisor, "one").pid)
        assert secret.encode() not in memory(identity(supervisor, "warm").pid)


def memory(pid: int) -> bytes:
    """Everything that a process has written in its own memory."""
    found: list[bytes] = []
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            if rights.startswith("rw"):
                first, last = (int(end, 16) for end in span.split("-"))
                file.seek(first)
                found.append(file.read(last - first))
    return b"".join(found)


async def test_forked_processes_draw_different_numbers(tmp_path: Path) -> None:
    """INVARIANT: no identifier is drawn twice, though the processes began as copies of one memory."""
    names = ["one", "two", "three"]
    specs = [born(name, tmp_path) for name in names]
    preloaded = warm_parent(tmp_path, "clawdeploy_common.service")
    async with supervising([preloaded, *specs], tmp_path) as supervisor:
        await until(lambda: supervisor.record.is_ready, seconds=60)
        drawn = [value for name in names for value in said(tmp_path, name)["drawn"]]
        assert len(set(drawn)) == 3 * len(names)


async def test_killing_one_restarts_only_that_one(tmp_path: Path) -> None:
    specs = [warm_parent(tmp_path), born("one", tmp_path), born("two", tmp_path)]
    async with supervising(specs, tmp_path) as supervisor:
        await until(lambda: supervisor.record.is_ready, seconds=60)
        before = {name: identity(supervisor, name) for name in ("warm", "one", "two")}
        os.kill(before["one"].pid, signal.SIGKILL)
        await back(supervisor, "one", after=before["one"])
        assert {name: identity(supervisor, name) for name in ("warm", "two")} == {
            name: before[name] for name in ("warm", "two")
        }


async def test_a_killed_warm_parent_takes_nobody_with_it_and_a_new_one_forks_on(tmp_path: Path) -> None:
    """INVARIANT: the services do not end with the process they were forked from."""
    async with supervising([warm_parent(tmp_path), born("one", tmp_path)], tmp_path) as supervisor:
        await until(lambda: supervisor.record.is_ready, seconds=60)
        parent, child = identity(supervisor, "warm"), identity(supervisor, "one")
        os.kill(parent.pid, signal.SIGKILL)
        await back(supervisor, "warm", after=parent)
        assert identity(supervisor, "one") == child
        assert service(supervisor, "one").restarts == 0
        os.kill(child.pid, signal.SIGKILL)
        await back(supervisor, "one", after=child)


async def test_how_a_forked_process_ended_is_told(tmp_path: Path) -> None:
    (tmp_path / "refusing.py").write_text("raise SystemExit(3)")
    (tmp_path / "killed.py").write_text("import os; os.kill(os.getpid(), 9)")
    parent = replace(warm_parent(tmp_path), environment={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)})
    specs = [parent, born("refusing", tmp_path, "refusing"), born("killed", tmp_path, "killed")]
    async with supervising(specs, tmp_path) as supervisor:
        await until(lambda: service(supervisor, "refusing").reason == "ended with exit code 3", seconds=60)
        await until(lambda: service(supervisor, "killed").reason == "ended by signal 9", seconds=60)


async def test_a_process_is_not_forked_while_there_is_no_warm_parent(tmp_path: Path) -> None:
    alone = replace(born("one", tmp_path), needs=())
    async with supervising([alone], tmp_path) as supervisor:
        await until(lambda: "could not be started" in (service(supervisor, "one").reason or ""))


async def test_stopping_ends_the_forked_and_their_warm_parent(tmp_path: Path) -> None:
    async with supervising([warm_parent(tmp_path), born("one", tmp_path)], tmp_path) as supervisor:
        await until(lambda: supervisor.record.is_ready, seconds=60)
        alive = [identity(supervisor, name) for name in ("warm", "one")]
    assert not any(is_alive(one) for one in alive)


async def test_no_forked_process_survives_a_killed_supervisor(tmp_path: Path) -> None:
    """INVARIANT: the leash holds for forked processes too, with and without their warm parent."""
    program = textwrap.dedent(
        f"""
        import asyncio, pathlib
        from tests.integration.supervised import supervising
        from tests.integration.test_warm_parent import born, warm_parent
        folder = pathlib.Path({str(tmp_path)!r})
        async def main():
            async with supervising([warm_parent(folder), born("one", folder)], folder):
                await asyncio.sleep({LONG_S})
        asyncio.run(main())
        """
    )
    supervisor = await asyncio.create_subprocess_exec(sys.executable, "-c", program, cwd=REPOSITORY)
    first = await ready_record(tmp_path, but=None)
    os.kill(first["warm"].pid, signal.SIGKILL)
    orphans = await ready_record(tmp_path, but=first["warm"])
    assert orphans["one"] == first["one"]
    supervisor.kill()
    await supervisor.wait()
    assert await asyncio.to_thread(wait_gone, list(orphans.values()), timeout_s=30)


async def ready_record(folder: Path, *, but: ProcessIdentity | None) -> dict[str, ProcessIdentity]:
    """Who runs, once all are ready and the warm parent is another one."""
    found: dict[str, ProcessIdentity] = {}

    def holds() -> bool:
        record = read_record(folder / "state.json")
        if record is None or not record.is_ready:
            return False
        found.update({one.name: one.identity for one in record.services if one.identity})
        return len(found) == len(record.services) and found["warm"] != but

    await until(holds, seconds=60)
    return found

"""The local supervisor over real processes."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.integration.supervised import journal, service, spec, supervising, until

from clawdeploy_cli.processes import ProcessIdentity, identify, is_alive, stop_all, wait_gone
from clawdeploy_cli.supervisor.instances import find_instances, stop_instances
from clawdeploy_cli.supervisor.state import ServiceState, read_record


async def test_a_process_starts_only_when_what_it_needs_is_ready(tmp_path: Path) -> None:
    first = spec("first", tmp_path, "--ready-after", "0.5")
    second = spec("second", tmp_path, needs=("first",))
    async with supervising([second, first], tmp_path) as supervisor:
        await until(lambda: supervisor.record.is_ready)
        assert journal(tmp_path) == ["began first", "ready first", "began second", "ready second"]


async def test_a_process_is_starting_until_it_answers(tmp_path: Path) -> None:
    async with supervising([spec("slow", tmp_path, "--ready-after", "1")], tmp_path) as supervisor:
        await until(lambda: "began slow" in journal(tmp_path))
        assert service(supervisor, "slow").state is ServiceState.STARTING
        await until(lambda: service(supervisor, "slow").state is ServiceState.READY)
        assert "ready slow" in journal(tmp_path)


async def test_a_killed_process_is_started_again(tmp_path: Path) -> None:
    async with supervising([spec("victim", tmp_path)], tmp_path) as supervisor:
        await until(lambda: supervisor.record.is_ready)
        before = service(supervisor, "victim").identity
        assert before is not None
        os.kill(before.pid, signal.SIGKILL)
        await until(lambda: service(supervisor, "victim").identity != before and supervisor.record.is_ready)
        after = service(supervisor, "victim")
        assert after.identity is not None
        assert is_alive(after.identity)
        assert after.restarts == 1


async def test_a_process_that_keeps_ending_is_called_failed_and_still_tried(tmp_path: Path) -> None:
    async with supervising([spec("broken", tmp_path, "--crash")], tmp_path) as supervisor:
        await until(lambda: service(supervisor, "broken").state is ServiceState.FAILED)
        assert service(supervisor, "broken").reason == "ended with exit code 3"
        assert journal(tmp_path).count("began broken") == 5


async def test_shutdown_is_in_order_and_insists(tmp_path: Path) -> None:
    specs = [
        spec("engine", tmp_path, stop_stage=2),
        spec("polite", tmp_path, "--slow-end", "0.5"),
        spec("stubborn", tmp_path, "--stubborn", stop_grace_s=1),
    ]
    happened: list[str] = []

    async def between() -> None:
        happened.extend(journal(tmp_path))

    async with supervising(specs, tmp_path, between=between) as supervisor:
        await until(lambda: supervisor.record.is_ready)
        alive = [one.identity for one in supervisor.record.services if one.identity]
        assert len(alive) == 3
    assert {"asked polite", "ended polite", "asked stubborn"} <= set(happened)
    assert "asked engine" not in happened
    assert journal(tmp_path)[-2:] == ["asked engine", "ended engine"]
    assert not any(is_alive(identity) for identity in alive)
    assert not (tmp_path / "state.json").exists()


async def test_hooks_run_before_each_start_and_before_ready_is_said(tmp_path: Path) -> None:
    ran: list[str] = []

    async def prepare() -> None:
        ran.append("prepare")

    async def on_ready() -> None:
        ran.append("on_ready")
        if len(ran) < 3:
            raise ConnectionError("not yet")

    async with supervising([spec("hooked", tmp_path, prepare=prepare, on_ready=on_ready)], tmp_path) as supervisor:
        await until(lambda: supervisor.record.is_ready)
        assert ran == ["prepare", "on_ready", "on_ready"]
        identity = service(supervisor, "hooked").identity
        assert identity is not None
        os.kill(identity.pid, signal.SIGKILL)
        await until(lambda: len(ran) == 5)
        assert ran[3:] == ["prepare", "on_ready"]


async def test_an_engine_given_by_its_address_is_watched_and_never_stopped(tmp_path: Path) -> None:
    given = spec("given", tmp_path)
    async with supervising([given], tmp_path / "theirs") as theirs:
        await until(lambda: theirs.record.is_ready)
        watched = spec("watched", tmp_path, argv=(), is_ready=given.is_ready)
        async with supervising([watched], tmp_path / "ours") as ours:
            await until(lambda: ours.record.is_ready)
            assert service(ours, "watched").identity is None
        identity = service(theirs, "given").identity
        assert identity is not None
        assert is_alive(identity)


async def test_what_a_process_says_is_in_its_own_private_log(tmp_path: Path) -> None:
    async with supervising([spec("talker", tmp_path)], tmp_path) as supervisor:
        await until(lambda: supervisor.record.is_ready)
        log = tmp_path / "talker.log"
        assert log.read_text() == "hello from talker\n"
        assert log.stat().st_mode & 0o077 == 0


async def test_two_platforms_run_side_by_side(tmp_path: Path) -> None:
    left, right = tmp_path / "left", tmp_path / "right"
    async with (
        supervising([spec("api", left)], left) as one,
        supervising([spec("api", right)], right) as other,
    ):
        await until(lambda: one.record.is_ready and other.record.is_ready)
        assert service(one, "api").identity != service(other, "api").identity


async def test_nothing_survives_a_killed_supervisor_and_its_record_is_known_as_stale(tmp_path: Path) -> None:
    """INVARIANT: however a supervisor ends, its processes end with it: no data directory ever meets two servers."""
    program = textwrap.dedent(
        f"""
        import asyncio, pathlib
        from tests.integration.supervised import spec, supervising
        folder = pathlib.Path({str(tmp_path)!r})
        async def main():
            async with supervising([spec("orphan", folder)], folder):
                await asyncio.sleep(60)
        asyncio.run(main())
        """
    )
    supervisor = await asyncio.create_subprocess_exec(sys.executable, "-c", program, cwd=Path(__file__).parents[2])
    await until(lambda: (record := read_record(tmp_path / "state.json")) is not None and record.is_ready)
    record = read_record(tmp_path / "state.json")
    assert record is not None
    assert record.is_current
    supervisor.kill()
    await supervisor.wait()
    orphan = record.services[0].identity
    assert orphan is not None
    assert await asyncio.to_thread(wait_gone, [orphan], timeout_s=10)
    assert not record.is_current
    assert record.survivors == []


def test_a_recycled_pid_is_not_mistaken_for_the_process_that_had_it() -> None:
    me = identify(os.getpid())
    assert me is not None
    assert is_alive(me)
    assert not is_alive(ProcessIdentity(pid=me.pid, started_ticks=me.started_ticks - 1, boot_id=me.boot_id))
    assert not is_alive(ProcessIdentity(pid=me.pid, started_ticks=me.started_ticks, boot_id="another boot"))


def test_a_zombie_is_not_alive() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        identity = identify(child.pid)
        assert identity is not None
        child.kill()
        assert wait_gone([identity], timeout_s=5)
        assert child.wait() == -signal.SIGKILL


def test_only_the_instances_of_this_home_are_stopped(tmp_path: Path) -> None:
    """INVARIANT: `claw down` ends agents that carry the marker and live below its own home, and no other process."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    marked = {"CLAWDEPLOY_SERVER_ID": "7", "OPENCLAW_STATE_DIR": f"{ours}/7/state"}
    processes = [
        subprocess.Popen(["sleep", "60"], env=environment)
        for environment in (
            marked,
            {**marked, "OPENCLAW_STATE_DIR": f"{theirs}/7/state"},
            {"OPENCLAW_STATE_DIR": f"{ours}/7/state"},
        )
    ]
    try:
        assert [found.pid for found in find_instances(ours)] == [processes[0].pid]
        assert stop_instances(ours) == 1
        assert processes[0].wait(timeout=5) == -signal.SIGTERM
        assert [process.poll() for process in processes[1:]] == [None, None]
    finally:
        stop_all([found for process in processes if (found := identify(process.pid))], grace_s=2)
        for process in processes:
            process.wait()

"""The `process` provider with the real OpenClaw: what a person would see, and what must never happen."""

import asyncio
import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import JsonValue

from clawdeploy_common.ids import new_id
from clawdeploy_common.redaction import REDACTED
from clawdeploy_provisioner.openclaw.channels import Channel
from clawdeploy_provisioner.openclaw.config import GatewayIdentity
from clawdeploy_provisioner.openclaw.gateway import GatewayClient, GatewayRefused, GatewayUnreachable, RpcFailed
from clawdeploy_provisioner.providers.process import procfs
from clawdeploy_provisioner.providers.process.reservations import Reservations, is_free
from clawdeploy_provisioner.providers.protocol import (
    Bundle,
    ConfigurationRejected,
    ExitedBeforeReady,
    ProviderUnavailable,
    Server,
    ServerNotFound,
    ServerState,
    require_alive,
)
from tests.e2e.openclaw import Agent, Model, Platform, model_stand_in, platform_of

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give an instance a uid of its own")
PLANTED = "planted-secret-7f3a"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def model() -> AsyncGenerator[Model]:
    with tempfile.TemporaryDirectory() as folder:
        async with model_stand_in(Path(folder)) as running:
            yield running


@pytest_asyncio.fixture(loop_scope="session")
async def platform(model: Model) -> AsyncGenerator[Platform]:
    async with platform_of(model) as made:
        yield made


def pid_of(agent: Agent) -> int:
    server = agent.directory / "ready"
    return int(server.read_text().split()[1])


def processes_of(server: Server) -> list[int]:
    return [
        pid for pid in procfs.living() if procfs.environment(pid).get("CLAWDEPLOY_SERVER_ID") == str(server.server_id)
    ]


async def observed(platform: Platform, agent: Agent) -> Server:
    server = await platform.provider.observe(agent.server_id)
    assert server is not None
    return server


async def test_an_agent_answers_keeps_its_history_over_a_stop_and_leaves_nothing_behind(platform: Platform) -> None:
    """INVARIANT: no orphan: after destroy no process, port, directory, uid or reservation of the server is left."""
    agent = await platform.deployed(environment={"PLANTED": PLANTED})
    server = await agent.started()
    assert server.address is not None
    assert server.state is ServerState.RUNNING
    assert server.memory_bytes is not None
    assert 300_000_000 < server.memory_bytes < 1_500_000_000

    assert "You wrote: “What is 6 * 7?”" in await agent.ask("What is 6 * 7?")
    gateway = await agent.gateway()
    assert (await gateway.live()).ok
    assert "openclaw/default" in await gateway.models()
    health = await gateway.rpc("health")
    assert isinstance(health, dict)
    assert health["ok"] is True

    stopped = await platform.provider.stop(agent.server_id, drain=False)
    assert stopped.state is ServerState.OFF
    assert is_free(server.address.port)
    assert processes_of(server) == []
    with pytest.raises(GatewayUnreachable):
        await gateway.startup()
    assert await platform.provider.supervise() == []  # a stop that was asked for is never undone

    await agent.started()
    assert "I have seen 2 messages from you" in await agent.ask("And 2 + 2?")

    await platform.provider.destroy(agent.server_id)
    await platform.provider.destroy(agent.server_id)
    assert await platform.provider.observe(agent.server_id) is None
    assert processes_of(server) == []
    assert is_free(server.address.port)
    assert not agent.directory.exists()
    assert Reservations(platform.settings).of(agent.directory) is None


async def test_what_an_agent_knows_is_known_on_another_server(platform: Platform) -> None:
    """Its conversations and its files; not its configuration, its secrets, or what it took from elsewhere."""
    agent = await platform.deployed()
    await agent.started()
    await agent.ask("What is 6 * 7?")
    workspace = agent.directory / "workspace"
    (workspace / "notes.md").write_text("Tuesdays")
    (workspace / "etc").symlink_to("/etc")
    (workspace / "project" / "node_modules").mkdir(parents=True)
    await platform.provider.stop(agent.server_id, drain=False)
    before = {file.name: file.read_bytes() for file in (agent.directory / "state").glob("openclaw.json")}

    moved = await platform.deployed()
    size = await platform.provider.state_size(agent.server_id)
    async with aclosing(platform.provider.read_state(agent.server_id)) as chunks:
        await platform.provider.write_state(moved.server_id, chunks)
    assert 100_000 < size < 20_000_000
    await platform.provider.write_configuration(moved.server_id, moved.bundle)
    files = moved.directory / "workspace"
    assert (files / "notes.md").read_text() == "Tuesdays"
    assert (files / "etc").readlink() == Path("/etc")
    assert not (files / "project" / "node_modules").exists()
    assert {path.stat(follow_symlinks=False).st_uid for path in files.rglob("*")} == {files.stat().st_uid}
    assert (moved.directory / "state" / "openclaw.json").read_bytes() != before["openclaw.json"]

    await moved.started()
    assert "I have seen 2 messages from you" in await moved.ask("And 2 + 2?")


async def test_only_the_platform_may_speak_to_a_gateway(platform: Platform) -> None:
    """INVARIANT: a process that can reach the port but does not know the instance's header is refused."""
    agent = await platform.deployed()
    server = await agent.started()
    assert server.address is not None
    base_url = server.address.base_url
    calls: dict[str, JsonValue] = {
        "/api/v1/admin/rpc": {"method": "health", "params": {}},
        "/v1/chat/completions": {"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]},
    }
    other = GatewayIdentity.for_instance(new_id())
    right_header = {"X-Forwarded-For": "192.0.2.1", agent.identity.header: "somebody@example.com"}
    loopback = {"X-Forwarded-For": "127.0.0.1", agent.identity.header: agent.identity.user}
    for headers in ({}, {"X-Forwarded-For": "192.0.2.1", other.header: agent.identity.user}, right_header, loopback):
        for path, payload in calls.items():
            answer = await platform.http.post(base_url + path, json=payload, headers=headers)
            assert answer.status_code in {401, 403}, (path, headers)
    with pytest.raises(GatewayRefused):
        await GatewayClient(base_url, other, http=platform.http).rpc("health")
    with pytest.raises(RpcFailed):
        await (await agent.gateway()).rpc("chat.send")


async def test_secrets_are_neither_in_argv_nor_readable_nor_in_the_logs(platform: Platform) -> None:
    """INVARIANT: secrets are write-only."""
    agent = await platform.deployed(environment={"PLANTED": PLANTED})
    server = await platform.provider.start(agent.server_id)
    log = agent.directory / "logs" / "gateway.log"
    with log.open("a") as file:
        file.write(f"leaked {PLANTED} and {platform.model.key} and {agent.identity.header}\n")

    lines = await platform.provider.logs(agent.server_id, tail=3)

    assert lines[-1] == f"leaked {REDACTED} and {REDACTED} and {REDACTED}"
    for pid in processes_of(server):
        assert PLANTED not in " ".join(procfs.arguments(pid))
    for path in ("server.json", "environment.json", "state/openclaw.json", "logs/gateway.log"):
        assert (agent.directory / path).stat().st_mode & 0o077 == 0
    assert platform.model.key not in (agent.directory / "state" / "openclaw.json").read_text()


async def test_a_refused_configuration_is_named_and_changes_nothing(platform: Platform) -> None:
    agent = await platform.deployed()
    before = (agent.directory / "state" / "openclaw.json").read_bytes()
    wrong = agent.bundle.config.model_copy(update={"overrides": {"tools": {"nonsense": True}}})

    with pytest.raises(ConfigurationRejected) as refusal:
        await platform.provider.write_configuration(
            agent.server_id, Bundle(config=wrong, environment=agent.bundle.environment, version=2)
        )

    assert refusal.value.issues == ['tools: Unrecognized key: "nonsense"']
    assert (agent.directory / "state" / "openclaw.json").read_bytes() == before


async def test_a_known_shape_is_not_checked_again(platform: Platform) -> None:
    agent = await platform.deployed()
    another = agent.bundle.config.model_copy(update={"identity": GatewayIdentity.for_instance(new_id())})
    began = time.monotonic()

    await platform.provider.write_configuration(
        agent.server_id, Bundle(config=another, environment=agent.bundle.environment, version=2)
    )

    assert time.monotonic() - began < 0.5


async def test_a_vanished_agent_comes_back_three_times_and_then_says_why_not(platform: Platform) -> None:
    agent = await platform.deployed()
    await agent.started()
    for round_ in range(1, 4):
        await kill_gateway(agent)
        (restarted,) = await platform.provider.supervise()
        assert (restarted.state, restarted.restarts) == (ServerState.RUNNING, round_)
    assert await platform.provider.supervise() == []
    await kill_gateway(agent)

    (failed,) = await platform.provider.supervise()

    assert failed.state is ServerState.ERROR
    assert failed.detail == "OpenClaw ended by itself (exit code -9) after 3 restarts in 5 minutes"
    assert failed.exited is not None
    assert failed.exited.exit_code == -9
    assert any("gateway" in line for line in failed.exited.last_lines)
    assert await platform.provider.supervise() == []
    again = await agent.started()
    assert (again.state, again.restarts, again.exited) == (ServerState.RUNNING, 0, None)
    assert "You wrote: “Hello”" in await agent.ask("Hello")


async def kill_gateway(agent: Agent) -> None:
    """`kill -9` for the gateway alone; its helpers end by themselves."""
    record = await asyncio.to_thread((agent.directory / "server.json").read_text)
    pid = int(record.split('"pid":')[1].split(",")[0])
    os.kill(pid, signal.SIGKILL)
    await until(lambda: procfs.read(pid) is None, seconds=5)


async def until(condition: Callable[[], bool], *, seconds: float) -> None:
    """Ask again and again: what other processes do sends us no event."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def run_as(uid: int, *argv: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(argv, user=uid, group=uid, extra_groups=[], capture_output=True, check=False)


async def test_an_agent_outlives_its_provisioner_and_is_found_again(platform: Platform) -> None:
    """INVARIANT: a restart of the provisioner is a pause, for agents not even that."""
    agent, home = await platform.deployed(), platform.settings
    script = f"""
        import asyncio, os, signal, httpx
        from pathlib import Path
        from uuid import UUID
        from clawdeploy_provisioner.providers.process import ProcessProvider, ProcessSettings

        async def main():
            settings = ProcessSettings(instances_dir=Path({str(home.instances_dir)!r}), tools_dir=Path({str(home.tools_dir)!r}))
            async with httpx.AsyncClient() as http:
                await ProcessProvider(settings, http=http).start(UUID({str(agent.server_id)!r}))
                os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
    """
    ended = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.DEVNULL, check=False
    )
    assert ended.returncode == -signal.SIGKILL

    first = await platform.ready(agent.server_id)
    pid = pid_of(agent)
    record = agent.directory / "server.json"
    kept = record.read_text()
    record.write_text(kept.replace(f'"pid": {pid},', '"pid": 999999999,').replace(f'"pid":{pid},', '"pid":999999999,'))
    by_marker = await observed(platform, agent)
    record.write_text(kept)

    assert (first.state, by_marker.state) == (ServerState.RUNNING, ServerState.RUNNING)
    listing = await platform.provider.list_servers()
    assert listing.complete
    assert [server.server_id for server in listing.servers] == [agent.server_id]
    assert await platform.provider.supervise() == []
    assert (await platform.provider.start(agent.server_id)).started_at == first.started_at


async def test_a_directory_removed_outside_is_gone_and_destroying_ends_what_still_runs(platform: Platform) -> None:
    agent = await platform.deployed()
    server = await platform.provider.start(agent.server_id)
    assert server.address is not None
    shutil.rmtree(agent.directory)

    gone = await observed(platform, agent)
    listed = await platform.provider.list_servers()

    assert gone.state is ServerState.GONE
    assert [(entry.server_id, entry.state) for entry in listed.servers] == [(agent.server_id, ServerState.GONE)]
    with pytest.raises(ServerNotFound):
        await platform.provider.start(agent.server_id)
    await platform.provider.destroy(agent.server_id)
    assert processes_of(server) == []
    assert is_free(server.address.port)
    assert await platform.provider.observe(agent.server_id) is None


@as_root
async def test_two_agents_have_uids_of_their_own_and_cannot_read_each_other(platform: Platform) -> None:
    """INVARIANT: a tenant is a wall, on the machine too."""
    one, two = await asyncio.gather(platform.deployed(), platform.deployed())
    servers = await asyncio.gather(one.started(), two.started())
    uids = [procfs.living()[pid_of(agent)].uid for agent in (one, two)]
    assert len({0, *uids}) == 3
    assert len({server.address for server in servers}) == 2

    secret_places = [
        two.directory / "server.json",
        two.directory / "environment.json",
        two.directory / "state" / "openclaw.json",
        two.directory / "logs" / "gateway.log",
        two.directory / "workspace",
        Path(f"/proc/{pid_of(two)}/environ"),
    ]
    for place in secret_places:
        attempt = await asyncio.to_thread(run_as, uids[0], "ls" if place.is_dir() else "cat", str(place))
        assert attempt.returncode != 0, place
        assert b"Permission denied" in attempt.stderr
    own = await asyncio.to_thread(run_as, uids[0], "cat", str(one.directory / "state" / "openclaw.json"))
    assert b"trusted-proxy" in own.stdout
    for agent in (one, two):
        assert "You wrote: “Hello”" in await agent.ask("Hello")


async def test_a_start_that_fails_says_so_with_its_last_lines(platform: Platform) -> None:
    agent = await platform.deployed(channels=(Channel.TELEGRAM,))
    server = await observed(platform, agent)
    assert server.address is not None
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", server.address.port))
        squatter.listen()
        await platform.provider.start(agent.server_id)

        with pytest.raises(ExitedBeforeReady) as failure:
            await platform.ready(agent.server_id)

    assert failure.value.exit_code == 1
    assert any("already" in line for line in failure.value.last_lines)
    (reported,) = await platform.provider.supervise()
    assert reported.state is ServerState.ERROR
    with pytest.raises(ExitedBeforeReady):
        require_alive(reported)


async def test_an_agent_that_takes_more_memory_than_its_plan_is_stopped(platform: Platform) -> None:
    agent = await platform.deployed(memory_mb=64)
    await platform.provider.start(agent.server_id)
    server = await observed(platform, agent)
    await until(
        lambda: sum(procfs.living()[pid].resident_bytes for pid in processes_of(server)) > 64 * 2**20, seconds=30
    )

    (stopped,) = await platform.provider.supervise()

    assert stopped.state is ServerState.ERROR
    assert stopped.detail is not None
    assert "its plan has 64 MB" in stopped.detail
    assert processes_of(stopped) == []


async def test_a_full_disk_shows_and_the_agent_is_renewed_when_there_is_room_again(platform: Platform) -> None:
    agent = await platform.deployed()
    healthy = await platform.provider.start(agent.server_id)
    full = dataclasses.replace(platform, settings=dataclasses.replace(platform.settings, disk_minimum_bytes=10**18))

    (noted,) = await full.provider.supervise()
    assert noted.state is ServerState.RUNNING
    assert noted.detail is not None
    assert "almost full" in noted.detail
    assert await full.provider.supervise() == []
    assert "a restart is due" in ((await observed(platform, agent)).detail or "")

    (renewed,) = await platform.provider.supervise()
    assert renewed.started_at != healthy.started_at
    assert (await observed(platform, agent)).detail == "starting"


async def test_a_stop_takes_five_seconds_even_when_a_channel_is_unreachable(platform: Platform) -> None:
    agent = await platform.deployed(
        channels=(Channel.TELEGRAM,), environment={"TELEGRAM_BOT_TOKEN": "123456789:" + "A" * 35}
    )
    server = await agent.started()
    status = await (await agent.gateway()).rpc("channels.status")
    assert isinstance(status, dict)
    assert "telegram" in str(status["channelAccounts"])
    began = time.monotonic()

    await platform.provider.stop(agent.server_id, drain=False)

    assert time.monotonic() - began < 8
    assert processes_of(server) == []


async def test_parked_agents_come_back_and_stopped_ones_do_not(platform: Platform) -> None:
    wanted, stopped = await platform.deployed(), await platform.deployed()
    await platform.provider.start(wanted.server_id)
    await platform.provider.start(stopped.server_id)
    await platform.provider.stop(stopped.server_id, drain=False)

    assert await platform.provider.park() == 1
    (resumed,) = await platform.provider.supervise()

    assert (resumed.server_id, resumed.state, resumed.restarts) == (wanted.server_id, ServerState.RUNNING, 0)


async def test_no_more_agents_start_at_once_than_the_machine_has_cores_for(platform: Platform) -> None:
    """INVARIANT: starts queue up; side by side all of them would come too late."""
    platform.settings = dataclasses.replace(platform.settings, starts_at_once=1)
    one, two = await platform.deployed(), await platform.deployed()
    await platform.provider.start(one.server_id)

    with pytest.raises(ProviderUnavailable, match="other agents"):
        await platform.provider.start(two.server_id)
    assert (await observed(platform, two)).state is ServerState.OFF

    assert await platform.provider.park() == 1
    await platform.provider.start(two.server_id)
    assert await platform.provider.supervise() == []
    assert (await observed(platform, one)).state is ServerState.OFF
    await platform.ready(two.server_id)
    assert [server.server_id for server in await platform.provider.supervise()] == [one.server_id]


async def test_new_lines_can_be_followed(platform: Platform) -> None:
    agent = await platform.deployed()
    (agent.directory / "logs" / "gateway.log").touch()
    lines: list[str] = []

    async def collect() -> None:
        lines.extend([line async for line in platform.provider.follow_logs(agent.server_id)])

    following = asyncio.create_task(collect())
    await platform.provider.start(agent.server_id)
    await until(lambda: (agent.directory / "logs" / "gateway.log").stat().st_size > 0, seconds=30)
    await asyncio.sleep(1)
    await platform.provider.destroy(agent.server_id)
    await asyncio.wait_for(following, 5)

    assert any("loading configuration" in line for line in lines)

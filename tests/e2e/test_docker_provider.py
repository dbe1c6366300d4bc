"""The `docker` provider on a real engine, with a gateway in small: what people do to containers, and what is left afterwards."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from clawdeploy_common.ids import new_id
from clawdeploy_common.redaction import REDACTED
from clawdeploy_provisioner.openclaw.config import GatewayIdentity
from clawdeploy_provisioner.openclaw.gateway import GatewayClient, GatewayRefused
from clawdeploy_provisioner.providers.docker.cells import NameInTheWay
from clawdeploy_provisioner.providers.docker.engine import EngineAway
from clawdeploy_provisioner.providers.docker.provider import DockerProvider
from clawdeploy_provisioner.providers.docker.settings import DockerHost, DockerSettings
from clawdeploy_provisioner.providers.protocol import (
    ConfigurationRejected,
    ExitedBeforeReady,
    InstallationFailed,
    ServerNotFound,
    ServerState,
)
from tests.e2e.docker_cells import KEY, Cells, cells_of
from tests.e2e.openclaw import a_spec
from tests.engines.docker_engine import LIGHT_IMAGE, WEB_IMAGE


@pytest.fixture
async def cells(docker_url: str, tmp_path: Path) -> AsyncGenerator[Cells]:
    async with cells_of(docker_url, tmp_path, image=LIGHT_IMAGE) as made:
        yield made


async def inspected(cells: Cells, container: str) -> Any:
    return json.loads(await cells.engine("inspect", container))[0]


async def test_a_cell_is_hardened_limited_and_gone_after_destroy(cells: Cells) -> None:
    """INVARIANT: no orphan: after destroy nothing on the engine carries the server's label."""
    cell = await cells.deployed(memory_mb=300, cpu_millis=700)
    server = await cell.started()
    assert server.address is not None
    assert (server.state, server.address.host) == (ServerState.RUNNING, "127.0.0.1")
    assert 10_000 <= server.address.port <= 20_000
    assert server.memory_bytes is not None
    assert 10_000_000 < server.memory_bytes < 300 * 2**20

    raw = await inspected(cells, cell.container)
    host = raw["HostConfig"]
    assert (host["CapDrop"], host["SecurityOpt"], host["PidsLimit"]) == (["ALL"], ["no-new-privileges"], 512)
    assert (host["Privileged"], host["RestartPolicy"]["Name"], raw["Config"]["User"]) == (
        False,
        "unless-stopped",
        "1000:1000",
    )
    assert raw["Config"]["Labels"]["clawdeploy.instance"] == str(cell.spec.instance_id)
    assert list(raw["NetworkSettings"]["Networks"]) == [f"clawdeploy-{cell.id}"]
    groups = await cells.engine("exec", cell.container, "cat", "/proc/self/cgroup")
    limits = "/sys/fs/cgroup" if "memory" not in groups else "/sys/fs/cgroup/memory"
    names = ("memory.max", "memory.limit_in_bytes")
    read = [
        await cells.engine("exec", cell.container, "sh", "-c", f"cat {limits}/{n} 2>/dev/null || true") for n in names
    ]
    assert str(300 * 2**20) in read
    assert host["NanoCpus"] == 700_000_000

    await cells.provider.destroy(cell.id)
    await cells.provider.destroy(cell.id)
    assert await cells.left(cell.id) == []
    assert await cells.provider.observe(cell.id) is None
    assert (await cells.provider.list_servers()).servers == []


async def test_secrets_show_in_no_inspection_argument_or_log(cells: Cells) -> None:
    """INVARIANT: secrets are write-only."""
    cell = await cells.deployed()
    await cell.started()
    for things in (
        ["inspect", cell.container],
        ["volume", "inspect", f"clawdeploy-{cell.id}"],
        ["top", cell.container],
    ):
        said = await cells.engine(*things)
        assert KEY not in said
        assert cell.identity.header not in said
    assert (await cells.provider.logs(cell.id, tail=5))[-1] == f"light gateway started with {REDACTED}"
    assert await cells.engine("exec", cell.container, "ls", "-l", "/run/clawdeploy/environment")
    with pytest.raises(Exception, match="returned non-zero"):
        await cells.engine("exec", cell.container, "cat", "/run/clawdeploy/record.json")
    with pytest.raises(Exception, match="returned non-zero"):
        await cells.engine("exec", cell.container, "rm", "/run/clawdeploy/environment")


async def test_only_the_platform_may_speak_to_a_cell(cells: Cells) -> None:
    cell = await cells.deployed()
    server = await cell.started()
    assert server.address is not None
    assert (await cell.rpc("health"))["ok"]
    stranger = GatewayClient(server.address.base_url, GatewayIdentity.for_instance(new_id()), http=cells.http)
    with pytest.raises(GatewayRefused):
        await stranger.rpc("health")


async def test_a_refused_configuration_is_named_and_a_running_gateway_gets_whole_files(cells: Cells) -> None:
    cell = await cells.deployed()
    await cell.started()
    with pytest.raises(ConfigurationRejected) as refusal:
        await cells.provider.write_configuration(cell.id, cell.bundle(overrides={"tools": {"nonsense": True}}))
    assert refusal.value.issues == ['tools: Unrecognized key: "nonsense"']

    await cells.provider.write_configuration(cell.id, cell.bundle(model="stand/two", version=2))
    text = await cells.engine("exec", cell.container, "cat", "/home/node/.openclaw/openclaw.json")
    assert json.loads(text)["agents"]["defaults"]["model"]["primary"] == "openrouter/stand/two"
    listing = await cells.engine("exec", cell.container, "ls", "-ln", "/home/node/.openclaw/openclaw.json")
    assert listing.startswith("-rw-------")
    assert listing.split()[2:4] == ["1000", "1000"]


async def test_stopped_outside_shows_and_a_start_brings_it_back(cells: Cells) -> None:
    cell = await cells.deployed()
    first = await cell.started()
    for how in (["stop", "-t", "1"], ["kill"], ["pause"]):
        await cells.engine(*how, cell.container)
        off = await cell.seen()
        assert off.state is ServerState.OFF
        assert off.detail is not None
        assert "outside the platform" in off.detail
        assert await cells.provider.supervise() == []  # whoever did it meant it
        assert (await cell.started()).address == first.address
    stopped = await cells.provider.stop(cell.id, drain=False)
    assert (stopped.state, stopped.detail) == (ServerState.OFF, None)


async def test_a_removed_container_comes_back_with_its_state(cells: Cells) -> None:
    """Even after `docker system prune`, which takes stopped containers and unused networks."""
    cell = await cells.deployed()
    await cell.started()
    await cells.engine("exec", cell.container, "sh", "-c", "echo kept > /home/node/.openclaw/workspace/note")
    await cells.engine("rm", "-f", cell.container)
    await cells.engine("network", "rm", f"clawdeploy-{cell.id}")

    lost = await cell.seen()
    assert lost.state is ServerState.ERROR
    assert lost.detail == "its container is not there; a start makes it again from the state that is kept"
    assert await cells.provider.logs(cell.id, tail=5) == []
    await cell.started()
    assert (await cell.rpc("health"))["ok"]
    assert await cells.engine("exec", cell.container, "cat", "/home/node/.openclaw/workspace/note") == "kept"


async def test_what_an_agent_knows_moves_to_another_cell_and_nothing_else_does(cells: Cells) -> None:
    """INVARIANT: an agent's own links lead nowhere: what only root may write, such as our record, stays as it was."""
    cell, other = await cells.deployed(), await cells.deployed()
    await cell.started()
    script = (
        "cd /home/node/.openclaw && echo known > workspace/note && mkdir -p agents/main workspace/node_modules"
        " && echo rows > agents/main/a.sqlite && echo x > workspace/node_modules/x && echo log > gateway.log"
        " && ln -s /run/clawdeploy workspace/secrets && echo old > openclaw.json"
    )
    await cells.engine("exec", "-u", "1000", cell.container, "sh", "-c", script)
    await cells.provider.stop(cell.id, drain=False)
    size = await cells.provider.state_size(cell.id)
    async with aclosing(cells.provider.read_state(cell.id)) as chunks:
        await cells.provider.write_state(other.id, chunks)
    assert 1_000 < size < 100_000
    await other.started()
    found = await cells.engine("exec", other.container, "find", "/home/node/.openclaw", "-printf", "%P %u %y\n")
    assert {"workspace/note node f", "agents/main/a.sqlite node f", "workspace/secrets node l"} <= set(
        found.split("\n")
    )
    assert "node_modules" not in found
    assert await cells.engine("exec", other.container, "cat", "/home/node/.openclaw/workspace/note") == "known"
    assert await cells.engine("exec", other.container, "cat", "/home/node/.openclaw/openclaw.json") != "old"
    assert (await other.rpc("health"))["ok"]


async def test_a_container_recreated_without_our_labels_is_not_touched(cells: Cells) -> None:
    """INVARIANT: what does not carry our label is nobody's to remove."""
    cell = await cells.deployed()
    await cells.engine("rm", "-f", cell.container)
    await cells.engine("create", "--name", cell.container, LIGHT_IMAGE, "node", "-v")
    try:
        assert (await cell.seen()).state is ServerState.ERROR
        with pytest.raises(NameInTheWay, match="remove or rename it"):
            await cells.provider.start(cell.id)
        await cells.provider.destroy(cell.id)
        assert await cells.left(cell.id) == []
        assert (await inspected(cells, cell.container))["Name"] == f"/{cell.container}"
    finally:
        await cells.engine("rm", "-f", cell.container)


async def test_a_renamed_container_is_found_and_gets_its_name_back(cells: Cells) -> None:
    cell = await cells.deployed()
    await cell.started()
    other = f"renamed-{cell.id}"
    await cells.engine("rename", cell.container, other)
    seen = await cell.seen()
    assert (seen.state, seen.detail) == (ServerState.RUNNING, f"its container was renamed to {other}")

    (healed,) = await cells.provider.supervise()

    assert (healed.detail, (await inspected(cells, cell.container))["Name"]) == (None, f"/{cell.container}")


async def test_a_volume_removed_outside_is_gone(cells: Cells) -> None:
    cell = await cells.deployed()
    await cells.engine("rm", "-f", cell.container)
    await cells.engine("volume", "rm", f"clawdeploy-{cell.id}")
    assert (await cell.seen()).state is ServerState.GONE
    with pytest.raises(ServerNotFound):
        await cells.provider.start(cell.id)
    await cells.provider.destroy(cell.id)
    assert await cells.left(cell.id) == []


async def test_a_taken_port_gives_way_to_the_next_one(cells: Cells) -> None:
    cell = await cells.deployed()
    server = await cell.seen()
    assert server.address is not None
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", server.address.port))
        squatter.listen()
        moved = await cell.started()
    assert moved.address is not None
    assert moved.address.port != server.address.port
    assert (await cell.rpc("health"))["ok"]


async def test_many_at_once_never_get_the_same_port(cells: Cells) -> None:
    specs = [a_spec() for _ in range(6)]
    cells.made += [spec.server_id for spec in specs]
    servers = await asyncio.gather(*map(cells.provider.ensure_server, specs))
    assert len({server.address for server in servers}) == 6


async def test_a_cell_that_crashes_before_it_is_ready_says_why(cells: Cells) -> None:
    cell = await cells.deployed(model="stand/hopeless")
    with pytest.raises(ExitedBeforeReady, match="there is no hope"):
        await cell.started()
    await cells.provider.supervise()
    failed = await cell.seen()
    assert failed.state is ServerState.ERROR
    assert failed.exited is not None
    assert (failed.exited.exit_code, failed.exited.before_ready) == (1, True)


async def test_a_cell_that_crashes_again_and_again_is_given_up(cells: Cells) -> None:
    cell = await cells.deployed(model="stand/crashing")
    await cell.started()
    async with asyncio.timeout(120):
        while (await cell.seen()).state is not ServerState.ERROR or (await inspected(cells, cell.container))["State"][
            "Running"
        ]:
            await cells.provider.supervise()
            await asyncio.sleep(0.2)
    given_up = await cell.seen()
    assert given_up.detail == "OpenClaw ended by itself (exit code 3) after 3 restarts in 5 minutes"
    await cells.provider.write_configuration(cell.id, cell.bundle(version=2))
    assert (await cell.started()).exited is None


async def test_parked_cells_come_back_with_the_platform(cells: Cells) -> None:
    running, stopped = await cells.deployed(), await cells.deployed()
    await running.started()
    assert await cells.provider.park() == 1
    assert (await running.seen()).state is ServerState.OFF
    assert [server.server_id for server in await cells.provider.supervise()] == [running.id]
    await running.ready()
    assert (await stopped.seen()).state is ServerState.OFF


async def test_two_platforms_on_one_engine_do_not_see_each_other(cells: Cells, docker_url: str, tmp_path: Path) -> None:
    """INVARIANT: a sweep touches what carries this platform's label alone."""
    cell = await cells.deployed()
    async with cells_of(docker_url, tmp_path / "other", image=LIGHT_IMAGE) as others:
        theirs = await others.deployed()
        assert [server.server_id for server in (await others.provider.list_servers()).servers] == [theirs.id]
        assert await others.provider.observe(cell.id) is None
        await others.provider.destroy(cell.id)
    assert (await cell.seen()).state is ServerState.OFF


async def test_logs_are_followed_over_a_restart_until_the_cell_is_gone(cells: Cells) -> None:
    cell = await cells.deployed()
    lines: list[str] = []

    async def follow() -> None:
        async for line in cells.provider.follow_logs(cell.id):
            lines.append(line)  # noqa: PERF401 - as they come

    following = asyncio.create_task(follow())
    await asyncio.sleep(0.5)
    for count in (1, 2):
        await cell.started()
        async with asyncio.timeout(30):
            while len(lines) < count:
                await asyncio.sleep(0.05)
        await cells.provider.stop(cell.id, drain=False)
    await cells.provider.destroy(cell.id)
    await asyncio.wait_for(following, 30)
    assert lines == [f"light gateway started with {REDACTED}"] * 2


async def test_a_web_image_gets_its_own_port_and_small_limits(docker_url: str, tmp_path: Path) -> None:
    async with cells_of(docker_url, tmp_path, image=WEB_IMAGE) as cells:
        cell = await cells.deployed()
        server = await cell.started()
        assert server.address is not None
        assert (await cells.http.get(server.address.base_url)).text == "hello"
        host = (await inspected(cells, cell.container))["HostConfig"]
        assert (host["Memory"], host["NanoCpus"]) == (256 * 2**20, 500_000_000)
        assert list(host["PortBindings"]) == ["80/tcp"]


async def test_a_missing_image_is_named(docker_url: str, tmp_path: Path) -> None:
    async with cells_of(docker_url, tmp_path, image="127.0.0.1:1/nobody/nothing:1") as cells:
        spec = a_spec()
        cells.made.append(spec.server_id)
        waiting = await cells.provider.ensure_server(spec)
        assert (waiting.state, waiting.detail) == (ServerState.CREATING, "its image is not on the engine yet")
        assert (await cells.provider.is_connected(), await cells.provider.is_ready()) == (True, False)
        with pytest.raises(InstallationFailed, match="nobody/nothing"):
            await cells.provider.ensure_installed(spec.server_id, _silent)


async def test_an_engine_that_is_away_proves_nothing(cells: Cells) -> None:
    """INVARIANT: an engine that does not answer has no say in what is gone."""
    cell = await cells.deployed()
    nowhere = (DockerHost(name="local", url="unix:///nonexistent/docker.sock"),)
    away = DockerProvider(DockerSettings(hosts=nowhere, home=cells.settings.home), http=cells.http)
    listing = await away.list_servers()
    assert (listing.servers, listing.complete, await away.is_connected()) == ([], False, False)
    for verb in (away.observe, away.destroy):
        with pytest.raises(EngineAway):
            await verb(cell.id)
    assert await away.supervise() == []


async def _silent(_message: str) -> None:
    pass

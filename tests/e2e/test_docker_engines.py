"""What happens to whole engines: images come from a registry, engines restart, fill up, and there are several."""

import os
import re
import signal
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from clawdeploy_provisioner.providers.docker.engine import DiskFull, EngineAway
from clawdeploy_provisioner.providers.docker.images import ImageNotFound
from clawdeploy_provisioner.providers.protocol import InstallationFailed, ServerState
from tests.e2e.docker_cells import Cell, Cells, cells_of
from tests.e2e.openclaw import a_spec
from tests.engines.registry import Registry, SlowWay
from tests.engines.requirements import MissingOnThisMachine, lacking
from tests.engines.shared import shared_engine
from tests.engines.spare_docker import SMALL_IMAGE, SpareDocker, docker, make_small_image

pytestmark = pytest.mark.long

BALLAST = 12_000_000


@pytest.fixture
async def spare(engine_folder: Path) -> AsyncGenerator[SpareDocker]:
    """A Docker engine of the test's own, with the small image."""
    try:
        engine = SpareDocker(engine_folder / "docker")
        await engine.start()
        make_small_image(engine.url)
    except MissingOnThisMachine as error:
        lacking(str(error))
    yield engine
    engine.remove()


@pytest.fixture
async def registry(engine_folder: Path) -> AsyncGenerator[Registry]:
    try:
        registry = Registry(engine_folder / "registry")
    except MissingOnThisMachine as error:
        lacking(str(error))
    await registry.start()
    yield registry
    registry.stop()


@pytest.fixture
async def cells(spare: SpareDocker, tmp_path: Path) -> AsyncGenerator[Cells]:
    async with cells_of(spare.url, tmp_path, image=SMALL_IMAGE) as made:
        yield made


async def says_hello(cell: Cell) -> bool:
    server = await cell.seen()
    return server.address is not None and (await cell.cells.http.get(server.address.base_url)).text == "hello"


async def installed(cells: Cells) -> list[str]:
    """Install an agent; gives the sentences that the operation shows."""
    spec, lines = a_spec(), list[str]()
    cells.made.append(spec.server_id)
    assert (await cells.provider.ensure_server(spec)).state is ServerState.CREATING

    async def progress(sentence: str) -> None:
        lines.append(sentence)

    await cells.provider.ensure_installed(spec.server_id, progress)
    assert (await cells.provider.observe(spec.server_id)) is not None
    return lines


async def test_an_image_is_fetched_by_tag_and_by_digest_and_tells_how_far_it_is(
    spare: SpareDocker, registry: Registry, tmp_path: Path
) -> None:
    way = SlowWay(registry, bytes_per_second=3_000_000)
    await way.open()
    tag = f"{registry.address}/agents/web:1"
    make_small_image(spare.url, tag=tag, ballast=BALLAST)
    [digest] = re.findall("sha256:[0-9a-f]{64}", docker(spare.url, "push", tag).stdout)
    docker(spare.url, "rmi", tag)

    by_tag = f"{way.address}/agents/web:1"
    async with cells_of(spare.url, tmp_path / "tag", image=by_tag) as cells:
        first, *between, last = await installed(cells)
        assert (first, last) == (f"Fetching image {by_tag}", f"Image {by_tag} is there")
        assert between
        assert all(re.fullmatch(rf"Fetching image {by_tag}: \d+ of 1\d MB", line) for line in between)
    docker(spare.url, "rmi", by_tag)

    pinned = f"{registry.address}/agents/web@{digest}"
    async with cells_of(spare.url, tmp_path / "digest", image=pinned) as cells:
        assert (await installed(cells))[-1] == f"Image {pinned} is there"

    async with cells_of(spare.url, tmp_path / "none", image=f"{registry.address}/agents/web:2") as cells:
        with pytest.raises(ImageNotFound, match="set OPENCLAW_IMAGE to one that is there, or make one"):
            await installed(cells)
    registry.stop()
    async with cells_of(spare.url, tmp_path / "away", image=f"{registry.address}/agents/web:3") as cells:
        with pytest.raises(InstallationFailed, match="connection refused"):
            await installed(cells)
    await way.close()


async def test_an_engine_that_restarts_brings_its_agents_back(cells: Cells, spare: SpareDocker) -> None:
    """INVARIANT: while an engine is away nothing on it is judged; back again, what ran runs and what was stopped is stopped."""
    running, stopped = await cells.deployed(), await cells.deployed()
    await running.started()
    await stopped.started()
    await cells.provider.stop(stopped.id, drain=False)

    spare.stop()
    listing = await cells.provider.list_servers()
    assert (listing.servers, listing.complete) == ([], False)
    with pytest.raises(EngineAway):
        await cells.provider.observe(running.id)
    with pytest.raises(EngineAway):
        await cells.provider.start(running.id)
    assert await cells.provider.supervise() == []

    await spare.start()
    assert (await running.ready()).state is ServerState.RUNNING
    assert await says_hello(running)
    assert (await stopped.seen()).state is ServerState.OFF
    assert (await cells.provider.list_servers()).complete


async def test_an_engine_that_crashes_is_told_and_its_agents_can_be_started_again(
    cells: Cells, spare: SpareDocker
) -> None:
    """INVARIANT: what ran in a crashed engine that ends it when it comes back is off, says so, and starts with all it had."""
    cell = await cells.deployed()
    await cell.started()
    spare.kill()
    assert not (await cells.provider.list_servers()).complete
    with pytest.raises(EngineAway):
        await cell.seen()
    await spare.start()
    off = await cell.seen()
    assert off.state is ServerState.OFF
    assert off.detail is not None
    assert "outside the platform" in off.detail
    await cell.started()
    assert await says_hello(cell)


async def test_an_engine_with_live_restore_crashes_without_its_agents(cells: Cells, spare: SpareDocker) -> None:
    """What scripts/install-docker.sh sets: agents outlive their engine, and it finds them again."""
    spare.stop()
    await spare.start("--live-restore")
    cell = await cells.deployed()
    await cell.started()
    pid = (await cells.engine("top", cell.container, "-C", "busybox", "-o", "pid")).split()[-1]
    spare.kill()
    with pytest.raises(EngineAway):
        await cell.seen()
    await spare.start("--live-restore")
    assert (await cell.ready()).state is ServerState.RUNNING
    assert await says_hello(cell)
    assert (await cells.engine("top", cell.container, "-C", "busybox", "-o", "pid")).split()[-1] == pid


async def test_a_program_whose_port_is_silent_does_not_pass_for_a_running_agent(cells: Cells) -> None:
    """INVARIANT: status is honest: that a process is there is not enough."""
    cell = await cells.deployed()
    server = await cell.started()
    assert (server.state, server.is_openclaw) == (ServerState.RUNNING, False)
    pid = (await cells.engine("top", cell.container, "-C", "busybox", "-o", "pid")).split()[-1]
    os.kill(int(pid), signal.SIGSTOP)
    silent = await cell.seen()
    assert (silent.state, silent.ready) == (ServerState.ERROR, False)
    assert silent.detail == "it runs, but nothing answers on its port"
    os.kill(int(pid), signal.SIGCONT)
    assert (await cell.seen()).state is ServerState.RUNNING


async def test_a_full_disk_is_told_and_work_goes_on_when_there_is_room(cells: Cells, spare: SpareDocker) -> None:
    """INVARIANT: a full disk is an error that says so and ends by itself, never a half-written agent."""
    cell = await cells.deployed()
    await cell.started()
    spare.fill()
    full = await cell.seen()
    assert full.state is ServerState.RUNNING
    assert full.detail is not None
    assert "disk is almost full" in full.detail
    with pytest.raises(DiskFull, match="the disk of Docker engine local is full"):
        await cells.deployed()
    spare.make_room()
    assert await says_hello(cell)
    await (await cells.deployed()).started()


async def test_each_of_several_engines_is_a_region_and_fails_alone(spare: SpareDocker, tmp_path: Path) -> None:
    """INVARIANT: an engine that is away takes nobody else's agents with it, and loses none of its own."""
    url = shared_engine("docker")["url"]
    make_small_image(url)
    async with cells_of(url, tmp_path, image=SMALL_IMAGE, others={"cellar": spare.url}) as cells:
        here, there = await cells.deployed(), await cells.deployed(region="cellar")
        for cell in (here, there):
            await cell.started()
            assert await says_hello(cell)
        assert there.container in docker(spare.url, "ps", "--format", "{{.Names}}").stdout
        assert there.container not in docker(url, "ps", "--format", "{{.Names}}").stdout

        spare.stop()
        listing = await cells.provider.list_servers()
        assert ([server.server_id for server in listing.servers], listing.complete) == ([here.id], False)
        assert await says_hello(here)
        with pytest.raises(EngineAway):
            await cells.provider.destroy(there.id)
        await (await cells.deployed()).started()

        await spare.start()
        await there.started()  # on another port, should an agent made meanwhile have got its own
        assert await says_hello(there)
        assert len((await cells.provider.list_servers()).servers) == 3

"""Operators restart a server as its reset button does, and nothing else."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from tests.engines.databases import Database
from tests.light.cloud_world import CloudWorld
from tests.light.clouds import CLOUDS

from clawdeploy_common.ids import new_id

SERVERS = "/internal/operator/servers"
RESETS = {"hetzner": "/actions/reset", "digitalocean": "/actions", "ovh": "/reboot"}
HEARD = "SELECT heartbeat_at FROM server_agents WHERE id = $1"


@pytest.fixture(params=sorted(RESETS))
async def world(database: Database, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncGenerator[CloudWorld]:
    world = CloudWorld(CLOUDS[request.param], database, tmp_path, emulated_clouds=request.param)
    async with world.running():
        yield world
    await world.close()


async def test_a_server_restarts_and_its_agent_is_heard_again(world: CloudWorld) -> None:
    wanted = await world.deploy()
    assert await world.ended(wanted.deployment_id) == "succeeded"
    [server] = await world.live()
    before = {call for call in world.calls if call.endswith(RESETS[world.kind.name])}
    answer = await world.asked("POST", f"{SERVERS}/{server['id']}/reboot")
    assert answer.status_code == 204, answer.text
    asked = {call for call in world.calls if call.endswith(RESETS[world.kind.name])} - before
    assert len(asked) == 1
    [then] = await world.rows(HEARD, server["id"])
    async with asyncio.timeout(60):
        while (await world.rows(HEARD, server["id"])) == [then]:
            await asyncio.sleep(0.1)
    await world.ended(await world.destroy(wanted))
    assert (await world.asked("POST", f"{SERVERS}/{server['id']}/reboot")).status_code == 409
    assert (await world.asked("POST", f"{SERVERS}/{new_id()}/reboot")).status_code == 404

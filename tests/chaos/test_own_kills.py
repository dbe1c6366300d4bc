"""INVARIANT: whatever dies while a machine of the operator's own is claimed, set up or put back, it gets one agent, and is free again."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from clawdeploy_common.http import ASGITransport, AsyncClient
from clawdeploy_emulators.cloud.hollow_agent import AgentPlayer
from clawdeploy_provisioner.on_server.ssh_keys import new_private_key, public_line
from tests.engines.databases import Database
from tests.engines.ports import free_ports
from tests.integration.provisioner.conftest import openrouter_in, settings_for
from tests.integration.provisioner.gateway import Gateway
from tests.light.fates import Life
from tests.light.mortal_world import MortalWorld
from tests.light.own_machine import OwnMachine
from tests.light.through_the_gateway import ThroughTheGateway

KEY = new_private_key()
PLAN: dict[str, Any] = {"provider": "own", "region": "attic", "cpu_millis": 1000}
THEIRS = ["home/photo"]
CLAIMING = ["doing create_server", "did create_server"]
SETTING_UP = ["before look", "after look", "before install", "before systemctl", "did install"]
PUTTING_BACK = ["doing destroy_server", "before release", "after release", "did destroy_server"]
QUICK: dict[str, Any] = {"agent_busy_heartbeat_seconds": 0.1, "cloud_inventory_seconds": 0.3}


class Attic(MortalWorld):
    """Two machines, of which either would do."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.relay = ThroughTheGateway()
        [port] = free_ports(1)
        script = AgentPlayer(folder / "disks", transport=self.relay)
        self.machines = [
            OwnMachine(folder / name, script=script, port=port, address=address)
            for name, address in (("nas", "127.66.0.9"), ("tower", "127.66.0.10"))
        ]
        self._openrouter, self._gateway = openrouter_in(folder), Gateway()
        settings = settings_for(database, providers="", provider_call_seconds=30, orphan_age_seconds=0.5, **QUICK)
        super().__init__(database, settings, plan=PLAN)

    def client(self, life: Life) -> AsyncClient:
        """What it does over SSH are moments of this life too."""
        for machine in self.machines:
            machine.reach = life.reach
        mounts = {"http://openrouter": ASGITransport(self._openrouter), "http://api": ASGITransport(self._gateway.app)}
        return AsyncClient(mounts=mounts)

    async def come_up(self) -> None:
        """Both are registered, looked at and free."""
        async with self.running():
            for machine in self.machines:
                await machine.come_up(public_line(KEY))
                facts = {"name": machine.address, "address": machine.address, "ssh_port": machine.port}
                facts |= {"ssh_user": "ada", "ssh_private_key": KEY.decode(), "region": "attic", "memory_mb": 4096}
                answer = await self.asked("POST", "/internal/operator/servers", body=facts)
                assert answer.status_code == 201, answer.text
            await self.until_free(2)

    async def until_free(self, count: int) -> None:
        """Wait until so many machines are free and nothing is owed."""
        async with asyncio.timeout(120):
            while len(await self.rows("SELECT 1 FROM own_servers WHERE state = 'free'")) != count:
                await asyncio.sleep(0.05)
            while await self.rows("SELECT 1 FROM cleanup_debts WHERE settled_at IS NULL"):
                await self.forward(60)
                await asyncio.sleep(0.3)

    def with_an_agent(self) -> int:
        """How many machines have anything of ours."""
        return sum(machine.files() != THEIRS for machine in self.machines)

    async def claims(self) -> int:
        """How many are claimed."""
        return len(await self.rows("SELECT 1 FROM own_servers WHERE server_id IS NOT NULL"))


@pytest.fixture
async def attic(database: Database, tmp_path: Path) -> AsyncGenerator[Attic]:
    world = Attic(database, tmp_path)
    await world.come_up()
    yield world
    for machine in world.machines:
        await machine.power_off()


async def test_whenever_it_dies_a_machine_gets_one_agent_and_is_afterwards_free_and_as_it_was(attic: Attic) -> None:
    wanted = await attic.deploy()

    async def deployed() -> bool:
        assert await attic.claims() <= 1
        assert attic.with_an_agent() <= 1
        return await attic.state(wanted.deployment_id) is not None

    moments = [*CLAIMING, *SETTING_UP]
    assert await attic.survives(moments, deployed) == set(moments)
    assert await attic.state(wanted.deployment_id) == "succeeded"
    assert (await attic.claims(), attic.with_an_agent()) == (1, 1)
    destruction = await attic.destroy(wanted)

    async def destroyed() -> bool:
        return await attic.state(destruction) is not None

    assert await attic.survives(PUTTING_BACK, destroyed) == set(PUTTING_BACK)
    assert await attic.state(destruction) == "succeeded"
    async with attic.running():
        await attic.until_free(2)
    assert attic.with_an_agent() == 0


@pytest.mark.parametrize("moment", ["did create_server", "before systemctl"])
async def test_a_deployment_that_died_and_is_cancelled_puts_its_machine_back(attic: Attic, moment: str) -> None:
    """INVARIANT: whether nothing was put on it yet, or half of everything."""
    wanted = await attic.deploy()
    async with attic.running(moment) as life:
        await life.died.wait()
    await attic.forward(60)
    assert await attic.claims() == 1
    async with attic.running():
        await attic.cancel(wanted)
        assert await attic.ended(wanted.deployment_id) == "cancelled"
        await attic.until_free(2)
    assert attic.with_an_agent() == 0

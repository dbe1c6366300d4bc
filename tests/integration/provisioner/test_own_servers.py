"""The ``own`` provider: machines of the operator's are registered, looked at, given an agent each over SSH, and put back."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.engines.databases import Database
from tests.engines.ports import free_ports
from tests.integration.provisioner.conftest import Instance, Platform, deployment_plan, openrouter_in, settings_for
from tests.integration.provisioner.gateway import Gateway
from tests.light.moments import Moments
from tests.light.own_machine import OwnMachine
from tests.light.provider import LightProvider
from tests.light.through_the_gateway import ThroughTheGateway

from clawdeploy_common.http import ASGITransport, AsyncClient
from clawdeploy_common.ids import new_id
from clawdeploy_common.tokens import InternalTokens
from clawdeploy_emulators.cloud.hollow_agent import AgentPlayer
from clawdeploy_events.deployments import InstanceRedeployRequested
from clawdeploy_provisioner.main import build
from clawdeploy_provisioner.on_server.ssh_keys import new_private_key, public_line

KEY = new_private_key()
PLAN: dict[str, Any] = {"provider": "own", "region": "attic", "cpu_millis": 1000}
THEIRS = ["home/photo"]


@dataclass(frozen=True, kw_only=True)
class Attic:
    """A provisioner, its operator, and machines in the attic."""

    platform: Platform
    operator: AsyncClient
    machine: OwnMachine

    async def added(self, **changes: Any) -> str:
        """Register the machine; answers its id."""
        facts: dict[str, Any] = {
            "name": "nas",
            "address": self.machine.address,
            "ssh_port": self.machine.port,
            "ssh_user": "ada",
            "ssh_private_key": KEY.decode(),
            "region": "attic",
            "memory_mb": 4096,
        }
        answer = await self.operator.post("/servers", json=facts | changes)
        assert answer.status_code == 201, answer.text
        assert (answer.json()["kind"], answer.json()["state"]) == ("own", "checking")
        return answer.json()["id"]

    async def shown(self, machine_id: str) -> dict[str, Any]:
        return (await self.operator.get(f"/servers/{machine_id}")).json()

    async def until(self, machine_id: str, state: str, *, seconds: float = 60) -> dict[str, Any]:
        """Wait for a state."""
        async with asyncio.timeout(seconds):
            while (found := await self.shown(machine_id))["state"] != state:
                await asyncio.sleep(0.05)
        return found

    async def free(self, **changes: Any) -> str:
        machine_id = await self.added(**changes)
        await self.until(machine_id, "free")
        return machine_id

    async def deployed(self) -> Instance:
        instance = await self.platform.deploy(**PLAN)
        row = await self.platform.ended(instance.deployment_id, seconds=120)
        assert (row.state, row.error) == ("succeeded", None)
        return instance

    async def said(self, operation_id: UUID, text: str) -> None:
        """Wait until an operation has said this."""
        async with asyncio.timeout(60):
            while not any(text in line for line in await self.platform.output(operation_id)):
                await asyncio.sleep(0.05)


@pytest.fixture
async def attic(database: Database, tmp_path: Path) -> AsyncGenerator[Attic]:
    relay = ThroughTheGateway()
    [port] = free_ports(1)
    script = AgentPlayer(tmp_path / "disks", transport=relay)
    machine = OwnMachine(tmp_path / "nas", script=script, port=port, address="127.66.0.9")
    gateway, openrouter = Gateway(), openrouter_in(tmp_path)
    mounts = {"http://openrouter": ASGITransport(openrouter), "http://api": ASGITransport(gateway.app)}
    settings = settings_for(
        database, providers="", agent_busy_heartbeat_seconds=0.1, cloud_inventory_seconds=0.3, provider_call_seconds=30
    )
    service, app = build(settings, http=AsyncClient(mounts=mounts))
    relay.inner, relay.tokens = ASGITransport(app), InternalTokens(settings.internal_secret, service="api")
    headers = {"Authorization": f"Bearer {service.tokens.issue('provisioner', operator=True)}"}
    url = "http://provisioner/internal/operator"
    operator = AsyncClient(transport=ASGITransport(app), base_url=url, headers=headers)
    outside = AsyncClient(transport=ASGITransport(openrouter), base_url="http://openrouter")
    async with app.router.lifespan_context(app), outside, operator:
        while not service.migrated:
            await asyncio.sleep(0.02)
        await machine.come_up(public_line(KEY))
        light = LightProvider(tmp_path / "none")
        platform = Platform(service, app, light, outside, moments=Moments(), gateway=gateway)
        yield Attic(platform=platform, operator=operator, machine=machine)
        await machine.power_off()


async def test_a_machine_is_given_an_agent_and_is_afterwards_as_it_was(attic: Attic) -> None:
    """INVARIANT: nothing but the owner's things is on a machine that is free; while an agent is on it, it cannot be removed."""
    machine_id = await attic.free()
    for _ in range(2):
        instance = await attic.deployed()
        shown = await attic.shown(machine_id)
        assert (shown["state"], shown["instance_id"], shown["name"]) == ("taken", str(instance.id), "nas")
        assert "etc/clawdeploy/agent.json" in attic.machine.files()
        refused = await attic.operator.delete(f"/servers/{machine_id}")
        assert (refused.status_code, refused.json()["instance_id"]) == (409, str(instance.id))
        rebooted = await attic.operator.post(f"/servers/{machine_id}/reboot")
        assert rebooted.status_code == 409
        assert "restart it where it stands" in rebooted.json()["detail"]
        await attic.platform.done(await attic.platform.destroy(instance))
        assert attic.machine.files() == THEIRS
        assert (await attic.until(machine_id, "free"))["instance_id"] is None
    assert await attic.platform.rows("SELECT 1 FROM cleanup_debts UNION ALL SELECT 1 FROM orphans") == []
    items = (await attic.operator.get("/servers")).json()["items"]
    assert [item["id"] for item in items] == [machine_id], "a machine is listed once, whoever has been on it"
    assert [(await attic.operator.delete(f"/servers/{machine_id}")).status_code for _ in range(2)] == [204, 204]
    assert (await attic.operator.get(f"/servers/{machine_id}")).status_code == 404


async def test_it_is_not_wiped_in_place_and_its_agent_goes_on(attic: Attic) -> None:
    """INVARIANT: what the platform may not do to a machine is refused before anything is done to its agent."""
    await attic.free()
    instance = await attic.deployed()
    credential = "SELECT credential_hash FROM server_agents"
    before = await attic.platform.rows(credential)
    operation_id = new_id()
    plan = deployment_plan(operation_id, **PLAN)
    redeploy = InstanceRedeployRequested(operation_id=operation_id, deployment=plan, in_place=True)
    await attic.platform.send(redeploy, key=instance.id, account_id=instance.account_id)
    row = await attic.platform.ended(operation_id, seconds=60)
    assert row.state == "failed"
    assert "is not wiped" in row.error
    assert await attic.platform.rows(credential) == before


async def test_who_comes_when_no_machine_is_free_waits_for_one(attic: Attic) -> None:
    """INVARIANT: one agent per machine."""
    await attic.free()
    first = await attic.deployed()
    second = await attic.platform.deploy(**PLAN)
    await attic.said(second.deployment_id, "no machine in attic with 2048 MB of memory is free now")
    await attic.platform.done(await attic.platform.destroy(first))
    row = await attic.platform.ended(second.deployment_id, seconds=120)
    assert (row.state, row.error) == ("succeeded", None)


async def test_a_deployment_is_refused_where_no_machine_is_large_enough(attic: Attic) -> None:
    await attic.free(memory_mb=1024)
    instance = await attic.platform.deploy(**PLAN)
    row = await attic.platform.ended(instance.deployment_id, seconds=60)
    assert (row.state, row.error) == ("failed", "there is no machine in attic with 2048 MB of memory")


async def test_a_machine_that_is_away_is_owed_until_it_was_put_back(attic: Attic) -> None:
    """INVARIANT: a claim is given up only when nothing of ours is on the machine any more."""
    machine_id = await attic.free()
    instance = await attic.deployed()
    await attic.machine.power_off()
    await attic.platform.done(await attic.platform.destroy(instance))
    found = await attic.until(machine_id, "releasing")
    assert found["instance_id"] == str(instance.id)
    assert (await attic.operator.delete(f"/servers/{machine_id}")).status_code == 409
    await attic.machine.power_on()
    await attic.until(machine_id, "free")
    assert attic.machine.files() == THEIRS
    await attic.platform.until("SELECT count(*) FROM cleanup_debts WHERE settled_at IS NULL", 0)


async def test_a_machine_that_does_not_come_back_can_be_forgotten(attic: Attic) -> None:
    machine_id = await attic.free()
    instance = await attic.deployed()
    assert (await attic.operator.delete(f"/servers/{machine_id}?lost=true")).status_code == 409, (
        "it is not lost while it is taken"
    )
    await attic.machine.power_off()
    await attic.platform.done(await attic.platform.destroy(instance))
    await attic.until(machine_id, "releasing")
    assert (await attic.operator.delete(f"/servers/{machine_id}?lost=true")).status_code == 204
    await attic.platform.until("SELECT count(*) FROM cleanup_debts WHERE settled_at IS NULL", 0, seconds=60)


async def test_what_is_the_owners_own_is_never_taken_for_ours(attic: Attic) -> None:
    """INVARIANT: a machine on which any of our paths exists is refused, also when that came between the look and the deployment."""
    machine_id = await attic.free()
    node = attic.machine.disk / "opt/node/bin/node"
    node.parent.mkdir(parents=True)
    node.write_text("the owner's")
    instance = await attic.platform.deploy(**PLAN)
    row = await attic.platform.ended(instance.deployment_id, seconds=60)
    assert row.state == "failed"
    assert "there is already" in row.error
    found = await attic.until(machine_id, "unreachable")
    assert "/opt/node" in found["detail"]
    assert node.read_text() == "the owner's"


async def test_a_machine_that_shows_another_host_key_is_not_used(attic: Attic) -> None:
    other = public_line(new_private_key())
    machine_id = await attic.added(host_key=f"{other} somebody@somewhere")
    assert "another SSH host key" in (await attic.until(machine_id, "unreachable"))["detail"]


async def test_the_same_machine_again_is_the_same_and_another_of_its_name_is_refused(attic: Attic) -> None:
    machine_id = await attic.free()
    facts = {"name": "nas", "address": attic.machine.address, "ssh_port": attic.machine.port, "ssh_user": "ada"}
    facts |= {"ssh_private_key": KEY.decode(), "region": "attic"}
    again = await attic.operator.post("/servers", json=facts)
    assert (again.status_code, again.json()["id"], again.json()["state"]) == (201, machine_id, "free")
    for change, told in (
        ({"region": "cellar"}, "nas is there, at 127.66.0.9:{port}, with another region; remove it to add it anew"),
        ({"ssh_private_key": new_private_key().decode()}, "with another ssh_private_key"),
        ({"name": "other", "address": "127.66.0.9"}, "nas is at 127.66.0.9:{port}"),
        ({"address": "127.66.0.10"}, "nas is there, at 127.66.0.9:{port}, with another address"),
    ):
        refused = await attic.operator.post("/servers", json=facts | change)
        assert (refused.status_code, refused.json()["code"]) == (409, "already-registered")
        assert told.format(port=attic.machine.port) in refused.json()["detail"]
    unreadable = {**facts, "ssh_private_key": "no key"}  # pragma: allowlist secret
    broken = await attic.operator.post("/servers", json=unreadable)
    assert (broken.status_code, broken.json()["errors"][0]["field"]) == (422, "ssh_private_key")
    assert "no key" not in broken.text.replace("is no private SSH key", "")
    assert (await attic.operator.delete(f"/servers/{new_id()}")).status_code == 204


async def test_what_is_wrong_with_a_machine_is_told_by_its_name_and_adding_it_again_looks_at_once(attic: Attic) -> None:
    place = f"{attic.machine.address}:{attic.machine.port}"
    other = new_private_key().decode()
    for facts, told in (
        ({"ssh_private_key": other}, "nas does not answer over SSH: our key is not let in as ada"),
        ({"ssh_user": "root"}, "on nas python3 cannot be run as root: it said nothing"),
    ):
        machine_id = await attic.added(**facts)
        assert (await attic.until(machine_id, "unreachable"))["detail"] == told
        assert (await attic.operator.delete(f"/servers/{machine_id}")).status_code == 204
    await attic.machine.power_off()
    machine_id = await attic.added()
    away = await attic.until(machine_id, "unreachable")
    assert away["detail"] == f"nas does not answer over SSH: Connection refused at {place}"
    await attic.machine.power_on()
    assert await attic.added() == machine_id
    await attic.until(machine_id, "free")


async def test_one_machine_under_two_names_is_given_one_agent(attic: Attic) -> None:
    """INVARIANT: what is told apart by its address only is known by its host key."""
    await attic.free()
    again = await attic.added(name="nas-too", address=f"::ffff:{attic.machine.address}")
    assert "nas-too shows the SSH host key of nas:" in (await attic.until(again, "unreachable"))["detail"]


async def test_a_server_that_goes_with_its_instance_is_not_removed_as_a_machine(attic: Attic) -> None:
    machine_id = await attic.free()
    await attic.deployed()
    (row,) = await attic.platform.rows("SELECT id FROM servers")
    refused = await attic.operator.delete(f"/servers/{row.id}")
    assert (refused.status_code, refused.json()["code"]) == (409, "server-rented")
    assert (await attic.shown(machine_id))["state"] == "taken"


async def test_its_key_is_encrypted_at_rest_and_not_shown(attic: Attic) -> None:
    """INVARIANT: a private key that was given is in no answer and in no row in clear."""
    machine_id = await attic.free()
    (row,) = await attic.platform.rows("SELECT ssh_key, host_key FROM own_servers")
    assert KEY.splitlines()[2] not in bytes(row.ssh_key)
    assert row.host_key.startswith("ssh-ed25519 ")
    assert KEY.decode().splitlines()[2] not in str(await attic.shown(machine_id))

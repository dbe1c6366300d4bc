"""The sweep over a cloud account: servers, their twins, keys and firewalls; what is ours and unowned goes, nothing else does (law 7)."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from tests.engines.databases import Database
from tests.light.cloud_world import CloudWorld
from tests.light.clouds import CLOUDS, fault_at

from clawdeploy_common.ids import new_id

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB test"
FIELDS = {"name", "emulated", "servers", "debts", "orphans", "removed", "last_sweep", "lost"}


@pytest.fixture
async def world(database: Database, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncGenerator[CloudWorld]:
    name = getattr(request, "param", "hetzner")
    world = CloudWorld(CLOUDS[name], database, tmp_path, emulated_clouds=name)
    async with world.running():
        yield world


async def made(world: CloudWorld, path: str, **body: Any) -> str:
    """Something in the account that no provisioner asked for."""
    answer = await world.account.http.post(path, json=body)
    assert answer.status_code == 201, answer.text
    kind = path.rsplit("/", 1)[1].removesuffix("s")
    return str(answer.json()[kind]["id"])


def labels(**changes: str) -> dict[str, str]:
    named = {"platform": "clawdeploy", "server": str(new_id()), "instance": str(new_id())} | changes
    return {f"clawdeploy.{name}": value for name, value in named.items() if value}


async def until_everything_is(world: CloudWorld, *names: str) -> None:
    async with asyncio.timeout(30):
        while await world.account.everything() != sorted(names):
            await asyncio.sleep(0.1)


async def rounds(world: CloudWorld, count: int) -> None:
    """Wait for this many further sweeps."""
    until = world.calls["GET /v1/firewalls"] + count
    async with asyncio.timeout(30):
        while world.calls["GET /v1/firewalls"] < until:
            await asyncio.sleep(0.05)


async def test_the_fleet_says_exactly_this_of_each_provider(world: CloudWorld) -> None:
    assert await world.ended((await world.deploy()).deployment_id) == "succeeded"
    await rounds(world, 1)
    (provider,) = (await world.asks("/internal/operator/fleet"))["items"]
    assert set(provider) == FIELDS
    assert provider.pop("last_sweep") is not None
    counts = {"servers": 1, "debts": 0, "orphans": 0, "removed": 0}
    assert provider == {"name": "hetzner", "emulated": True, **counts, "lost": "0.00"}


async def test_lone_keys_and_firewalls_are_removed_and_cost_nothing(world: CloudWorld) -> None:
    """INVARIANT: keys and firewalls are swept as servers are; what carries no label of ours, or only half of it, is not touched."""
    await made(world, "/v1/ssh_keys", name="lone", public_key=KEY, labels=labels())
    await made(world, "/v1/firewalls", name="lone", labels=labels())
    await made(world, "/v1/firewalls", name="a-persons", labels={})
    await made(world, "/v1/firewalls", name="half-labelled", labels=labels(server=""))
    await made(world, "/v1/firewalls", name="another-platforms", labels=labels(platform="other"))
    await until_everything_is(world, "a-persons", "another-platforms", "half-labelled")
    await rounds(world, 2)
    (provider,) = (await world.asks("/internal/operator/fleet"))["items"]
    assert (provider["orphans"], provider["removed"], provider["lost"]) == (0, 2, "0.00")


async def test_servers_are_swept_and_half_labelled_ones_are_not_ours(world: CloudWorld) -> None:
    """INVARIANT: a server without all our labels is neither removed nor in the way; money that nobody's server cost is told."""
    order = {"server_type": "cx23", "image": "ubuntu-24.04", "location": "nbg1"}
    await made(world, "/v1/servers", name="stray", labels=labels(), **order)
    await made(world, "/v1/servers", name="half-labelled", labels=labels(server=""), **order)
    await made(world, "/v1/servers", name="a-persons", **order)
    await until_everything_is(world, "a-persons", "half-labelled")
    await rounds(world, 2)
    (provider,) = (await world.asks("/internal/operator/fleet"))["items"]
    assert (provider["servers"], provider["removed"], provider["lost"]) == (0, 1, "0.10")


@pytest.mark.parametrize("world", ["ovh"], indirect=True)
async def test_a_stray_vps_is_ended_and_its_begun_month_is_lost(world: CloudWorld) -> None:
    """INVARIANT: what carries our labels and was ordered by nobody we know is not renewed; a month is lost, not an hour."""
    assert await world.ended((await world.deploy()).deployment_id) == "succeeded"
    await world.rows("DELETE FROM ovh_orders")
    await world.rows("UPDATE servers SET destroyed_at = clock_timestamp()")
    await until_everything_is(world)
    async with asyncio.timeout(30):
        while (provider := (await world.asks("/internal/operator/fleet"))["items"][0])["removed"] != 1:
            await asyncio.sleep(0.1)
    assert (provider["servers"], provider["orphans"], provider["lost"]) == (0, 0, "15.00")


async def test_a_twin_of_a_recorded_server_is_removed_and_the_recorded_one_stays(world: CloudWorld) -> None:
    wanted = await world.deploy()
    assert await world.ended(wanted.deployment_id) == "succeeded"
    (row,) = await world.live()
    order = {"server_type": "cx23", "image": "ubuntu-24.04", "location": "nbg1"}
    await made(world, "/v1/servers", name="twin", labels=labels(server=str(row["id"])), **order)
    await world.is_sound()
    assert await world.account.servers() == [row["provider_ref"]]


@pytest.mark.parametrize("kind", ["listing_empty", "listing_short"])
async def test_a_listing_that_lacks_a_server_proves_nothing(world: CloudWorld, kind: str) -> None:
    """INVARIANT: absence is believed only when the server's own number is not known any more, however whole a listing looks."""
    for wanted in [await world.deploy(), await world.deploy()]:
        assert await world.ended(wanted.deployment_id) == "succeeded"
    await world.account.faults(fault_at(world.kind.listing, kind=kind, times=12))
    await rounds(world, 4)
    await world.account.faults()
    await world.is_sound()
    assert len(await world.account.servers()) == 2
    assert [data for row, data in await world.events() if row["type"] == "server.state_changed.v1"] == []


async def test_a_server_that_somebody_removed_is_told_as_gone(world: CloudWorld) -> None:
    first, second = await world.deploy(), await world.deploy()
    for wanted in (first, second):
        assert await world.ended(wanted.deployment_id) == "succeeded"
    (row,) = [row for row in await world.live() if row["instance_id"] == first.id]
    await world.account.http.delete(f"/v1/servers/{row['provider_ref']}")
    async with asyncio.timeout(30):
        while (await world.rows("SELECT state FROM servers WHERE id = $1", row["id"]))[0]["state"] != "gone":
            await asyncio.sleep(0.1)
    assert await world.ended(await world.destroy(first)) == "succeeded"
    await world.is_sound()

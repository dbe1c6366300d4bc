"""The ``digitalocean`` provider on a stand-in of DigitalOcean whose hollow Droplets play the on-server agent's part."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from tests.engines.databases import Database
from tests.integration.provisioner.clouds import BEARER, TOKEN, Cloud, Kind, connected

from clawdeploy_common.ids import new_id
from clawdeploy_emulators.digitalocean import DigitalOceanSettings, create_digitalocean
from clawdeploy_events.deployments import InstanceStartRequested

PLATFORM_TAG = "clawdeploy:platform:clawdeploy"


def _create(**facts: Any) -> FastAPI:
    return create_digitalocean(DigitalOceanSettings(**facts))


DIGITALOCEAN = Kind(
    name="digitalocean",
    create=_create,
    base_path="/v2",
    holds=[("/droplets", "droplets"), ("/account/keys", "ssh_keys"), ("/firewalls", "firewalls"), ("/tags", "tags")],
    plan={"provider": "digitalocean", "region": "nyc3", "cpu_millis": 1000},
    told={"DIGITALOCEAN_TOKEN": TOKEN, "cloud_inventory_seconds": 1},
)


@pytest.fixture
async def cloud(database: Database, tmp_path: Path) -> AsyncGenerator[Cloud]:
    async with connected(DIGITALOCEAN, database, tmp_path) as running:
        yield running


async def _droplets(cloud: Cloud) -> list[dict[str, Any]]:
    return (await cloud.http.get("/v2/droplets", headers=BEARER)).json()["droplets"]


async def test_a_deployment_runs_by_its_agents_word_and_leaves_the_account_as_it_was(cloud: Cloud) -> None:
    """INVARIANT: after a destroy nothing of it is left at the provider: no Droplet, no key, no firewall, no tag of its own."""
    instance = await cloud.deployed()
    server_id = await cloud.platform.server_id(instance)
    (droplet,) = await _droplets(cloud)
    assert (droplet["name"], droplet["size_slug"]) == (f"clawdeploy-{server_id}", "s-1vcpu-2gb")
    (firewall,) = (await cloud.http.get("/v2/firewalls", headers=BEARER)).json()["firewalls"]
    assert [rule["ports"] for rule in firewall["inbound_rules"]] == ["22", "80", "443"]
    assert firewall["tags"] == [f"clawdeploy:server:{server_id}"]
    assert {rule["protocol"] for rule in firewall["outbound_rules"]} == {"tcp", "udp", "icmp"}
    (row,) = await cloud.platform.rows("SELECT host, provider_ref FROM servers")
    assert (row.host, row.provider_ref) == (_public(droplet), str(droplet["id"]))
    seen = await cloud.asks("/internal/operator/providers/digitalocean")
    assert (seen["account"]["status"], seen["emulated"]) == ("active", False)
    assert [each["host"] for each in seen["servers"]] == [_public(droplet)]
    assert (
        seen["regions"][0]["id"],
        seen["servers"][0]["size"],
        seen["images"][-2]["id"],
    ) == ("nyc3", "s-1vcpu-2gb", "ubuntu-24-04-x64")
    await cloud.destroyed(instance)
    assert await cloud.everything() == [PLATFORM_TAG]


async def test_whatever_goes_wrong_with_a_create_there_is_one_droplet(cloud: Cloud) -> None:
    """INVARIANT: an ambiguous outcome is resolved by looking up the tag, never by blindly repeating; and a create that was sent late
    leaves one Droplet, though DigitalOcean takes the same name twice."""
    sold_out = [{"place": "nyc3", "plan": "*"}, {"place": "sfo3", "plan": "s-1vcpu-2gb"}]
    assert (await cloud.http.put("/_emulator/sold-out", json=sold_out, headers=BEARER)).status_code < 300
    await cloud.fault(kind="timeout_after", method="POST", path_prefix="/v2/droplets", seconds=0.2)
    instance = await cloud.deployed()
    (droplet,) = await _droplets(cloud)
    assert (droplet["region"]["slug"], droplet["size_slug"]) == ("sfo3", "s-2vcpu-2gb"), "elsewhere on the continent"
    late = {"name": droplet["name"], "tags": droplet["tags"], "region": "sfo3", "size": "s-2vcpu-2gb"}
    answer = await cloud.http.post("/v2/droplets", json=late | {"image": droplet["image"]["id"]}, headers=BEARER)
    assert answer.status_code == 202
    async with asyncio.timeout(30):
        while [each["id"] for each in await _droplets(cloud)] != [droplet["id"]]:
            await asyncio.sleep(1)
    await cloud.destroyed(instance)
    assert await cloud.everything() == [PLATFORM_TAG]


async def test_a_droplet_that_was_switched_off_is_started(cloud: Cloud) -> None:
    instance = await cloud.deployed()
    (droplet,) = await _droplets(cloud)
    await cloud.http.post(f"/v2/droplets/{droplet['id']}/actions", json={"type": "power_off"}, headers=BEARER)
    await cloud.platform.until("SELECT state FROM servers", "off")
    start = InstanceStartRequested(operation_id=new_id())
    await cloud.platform.send(start, key=instance.id, account_id=instance.account_id)
    await cloud.platform.done(start.operation_id)
    assert [each["status"] for each in await _droplets(cloud)] == ["active"]
    await cloud.destroyed(instance)


def _public(droplet: dict[str, Any]) -> str:
    (address,) = [net["ip_address"] for net in droplet["networks"]["v4"] if net["type"] == "public"]
    return address


async def test_a_redeployment_in_place_opens_the_first_token_once_more(cloud: Cloud) -> None:
    """INVARIANT: a Droplet's user data never change: wiped, its token opens once more, until the first heartbeat, and it expires."""
    instance = await cloud.deployed()
    server_id = await cloud.platform.server_id(instance)
    (droplet,), before = await _droplets(cloud), await cloud.agent(server_id)
    (spent,) = await cloud.tokens(server_id)
    await cloud.redeployed_in_place(instance)
    (token,), after = await cloud.tokens(server_id), await cloud.agent(server_id)
    assert token.used_at > spent.used_at
    assert token.expires_at > spent.expires_at
    assert after.credential_hash != before.credential_hash
    assert [each["id"] for each in await _droplets(cloud)] == [droplet["id"]]
    actions = (await cloud.http.get(f"/v2/droplets/{droplet['id']}/actions", headers=BEARER)).json()["actions"]
    assert [action["type"] for action in actions].count("rebuild") == 1
    await cloud.destroyed(instance)
    assert await cloud.everything() == [PLATFORM_TAG]

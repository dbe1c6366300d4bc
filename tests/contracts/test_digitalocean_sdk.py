"""DigitalOcean's own SDK drives the stand-in from an empty account to an empty account."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from pydo import Client

from clawdeploy_emulators import DigitalOceanSettings, create_digitalocean
from tests.contracts.clouds import TOKEN, public_key
from tests.contracts.serving import served

PLAIN: dict[str, Any] = {"enforce_https": False}  # the SDK refuses plain HTTP unless each call says otherwise


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    settings = DigitalOceanSettings(state_file=tmp_path / "digitalocean.sqlite", token=TOKEN, action_seconds=0.05)
    with served(create_digitalocean(settings)) as address, Client(token=TOKEN, endpoint=address) as sdk:
        yield sdk


def wait(client: Any, action_id: int) -> str:
    while (status := client.actions.get(action_id, **PLAIN)["action"]["status"]) == "in-progress":
        time.sleep(0.02)
    return status


def test_a_droplet_lives_and_dies(client: Any) -> None:
    key = client.ssh_keys.create(body={"name": "platform", "public_key": public_key()}, **PLAIN)["ssh_key"]
    order = {
        "name": "i-1",
        "region": "fra1",
        "size": "s-1vcpu-2gb",
        "image": "debian-12-x64",
        "ssh_keys": [key["id"]],
        "tags": ["clawdeploy", "op:1"],
        "user_data": "#cloud-config\n",
    }
    ordered = client.droplets.create(body=order, **PLAIN)
    assert wait(client, ordered["links"]["actions"][0]["id"]) == "completed"
    (found,) = client.droplets.list(tag_name="op:1", **PLAIN)["droplets"]
    assert (found["id"], found["status"]) == (ordered["droplet"]["id"], "active")
    assert [network["type"] for network in found["networks"]["v4"]] == ["private", "public"]
    everywhere = {"addresses": ["0.0.0.0/0", "::/0"]}
    firewall = client.firewalls.create(
        body={
            "name": "default",
            "droplet_ids": [found["id"]],
            "inbound_rules": [{"protocol": "tcp", "ports": "22", "sources": everywhere}],
            "outbound_rules": [{"protocol": "tcp", "ports": "all", "destinations": everywhere}],
        },
        **PLAIN,
    )["firewall"]
    for verb in ({"type": "power_off"}, {"type": "power_on"}, {"type": "rebuild", "image": "ubuntu-24-04-x64"}):
        action = client.droplet_actions.post(found["id"], body=verb, **PLAIN)["action"]
        assert wait(client, action["id"]) == "completed"
    assert client.droplets.get(found["id"], **PLAIN)["droplet"]["image"]["slug"] == "ubuntu-24-04-x64"
    client.droplets.destroy(found["id"], **PLAIN)
    client.firewalls.delete(firewall["id"], **PLAIN)
    client.ssh_keys.delete(key["id"], **PLAIN)
    while client.droplets.list(**PLAIN)["droplets"]:
        time.sleep(0.02)
    assert client.firewalls.list(**PLAIN)["firewalls"] == client.ssh_keys.list(**PLAIN)["ssh_keys"] == []


def test_the_catalogue_names_places_systems_and_prices(client: Any) -> None:
    sizes = {size["slug"]: size for size in client.sizes.list(**PLAIN)["sizes"]}
    assert (sizes["s-1vcpu-2gb"]["price_monthly"], sizes["s-1vcpu-2gb"]["price_hourly"]) == (12.0, 0.01786)
    assert "fra1" in {region["slug"] for region in client.regions.list(**PLAIN)["regions"]}
    assert client.images.get("debian-12-x64", **PLAIN)["image"]["distribution"] == "Debian"
    assert client.account.get(**PLAIN)["account"]["status"] == "active"


def test_refusals_are_the_errors_the_sdk_knows(client: Any) -> None:
    # the SDK documents 404 for a Droplet and hands its body back; for what it does not document it raises
    assert client.droplets.get(1, **PLAIN)["id"] == "not_found"
    with pytest.raises(HttpResponseError) as refused:
        client.droplets.create(body={"name": "x", "size": "huge", "image": "debian-12-x64", "region": "fra1"}, **PLAIN)
    assert refused.value.status_code == 422

"""Hetzner's own SDK drives the stand-in from an empty project to an empty project."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import httpx
import pytest
from hcloud import APIException, Client
from hcloud.actions import ActionFailedException
from hcloud.firewalls import FirewallResource, FirewallRule
from hcloud.firewalls.domain import FirewallResourceLabelSelector
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType

from clawdeploy_emulators import HetznerSettings, create_hetzner
from tests.contracts.clouds import BEARER, TOKEN, public_key
from tests.contracts.serving import served

PLAN, SYSTEM, PLACE = ServerType(name="cx23"), Image(name="debian-12"), Location(name="fsn1")


T = TypeVar("T")


def given(value: T | None) -> T:
    """What the SDK types as optional, and the API always gives."""
    assert value is not None
    return value


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    settings = HetznerSettings(state_file=tmp_path / "hetzner.sqlite", token=TOKEN, action_seconds=0.05)
    with served(create_hetzner(settings)) as where:
        yield where


@pytest.fixture
def client(address: str) -> Client:
    return Client(token=TOKEN, api_endpoint=f"{address}/v1", poll_interval=0.02, timeout=10)


def test_a_server_lives_and_dies(client: Client) -> None:
    key = client.ssh_keys.create(name="platform", public_key=public_key(), labels={"managed-by": "clawdeploy"})
    firewall = client.firewalls.create(
        name="default",
        rules=[FirewallRule(direction="in", protocol="tcp", port="22", source_ips=["0.0.0.0/0", "::/0"])],
        resources=[
            FirewallResource(
                type="label_selector", label_selector=FirewallResourceLabelSelector("managed-by=clawdeploy")
            )
        ],
    ).firewall
    created = client.servers.create(
        name="i-1",
        server_type=PLAN,
        image=SYSTEM,
        location=PLACE,
        ssh_keys=[key],
        firewalls=[firewall],
        user_data="#cloud-config\n",
        labels={"managed-by": "clawdeploy", "operation": "op-1"},
    )
    assert created.root_password is None
    assert created.server.status == "initializing"
    created.action.wait_until_finished()
    for action in created.next_actions:
        action.wait_until_finished()
    server = given(client.servers.get_by_name("i-1"))
    assert (server.status, server.locked) == ("running", False)
    net = given(server.public_net)
    assert given(net.primary_ipv4).ip == given(net.ipv4).ip
    assert [each.firewall.id for each in given(net.firewalls)] == [firewall.id]
    assert [each.id for each in client.servers.get_all(label_selector="operation=op-1")] == [server.id]
    server.power_off().wait_until_finished()
    assert client.servers.get_by_id(given(server.id)).status == "off"
    server.power_on().wait_until_finished()
    server.rebuild(image=Image(name="ubuntu-24.04")).action.wait_until_finished()
    rebuilt = client.servers.get_by_id(given(server.id))
    assert (rebuilt.status, given(rebuilt.image).name) == ("running", "ubuntu-24.04")
    server.delete().wait_until_finished()
    firewall.delete()
    key.delete()
    everything = (client.servers.get_all(), client.firewalls.get_all(), client.ssh_keys.get_all())
    assert everything == ([], [], [])
    assert client.primary_ips.get_all() == []


def test_the_catalogue_names_places_systems_and_prices(client: Client) -> None:
    plan = given(client.server_types.get_by_name("cx23"))
    assert {place.location.name for place in given(plan.locations) if place.available} == {"fsn1", "nbg1", "hel1"}
    assert given(plan.prices)[0]["price_hourly"]["net"] == "0.0088000000"
    assert [place.name for place in client.locations.get_all()] == ["fsn1", "nbg1", "hel1", "ash", "hil", "sin"]
    image = given(client.images.get_by_name_and_architecture("debian-12", "x86"))
    assert image.os_flavor == "debian"


def test_refusals_are_the_errors_the_sdk_knows(client: Client) -> None:
    client.servers.create(name="twin", server_type=PLAN, image=SYSTEM, location=PLACE)
    with pytest.raises(APIException) as twice:
        client.servers.create(name="twin", server_type=PLAN, image=SYSTEM, location=PLACE)
    assert twice.value.code == "uniqueness_error"
    with pytest.raises(APIException) as nobody:
        client.servers.get_by_id(1)
    assert nobody.value.code == "not_found"


def test_an_action_that_fails_is_the_error_the_sdk_knows(address: str, client: Client) -> None:
    created = client.servers.create(name="broken", server_type=PLAN, image=SYSTEM, location=PLACE)
    for action in [created.action, *created.next_actions]:
        action.wait_until_finished()
    fault = {"kind": "action_error", "method": "POST", "path_prefix": "/servers/"}
    httpx.put(f"{address}/_emulator/faults", json=[fault], headers=BEARER).raise_for_status()
    with pytest.raises(ActionFailedException):
        created.server.power_off().wait_until_finished()
    assert client.servers.get_by_id(given(created.server.id)).status == "running"

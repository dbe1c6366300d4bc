"""The stand-in of DigitalOcean. Every answer is judged by the description that the SDK carries."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contracts.clouds import BEARER, Room, Standin, digitalocean_at, public_key
from tests.contracts.conftest import Clock

DROPLETS = "/v2/droplets"
NEW = {"name": "i-1", "size": "s-1vcpu-2gb", "image": "debian-12-x64", "region": "fra1"}


@pytest.fixture
async def cloud(tmp_path: Path, clock: Clock) -> AsyncIterator[Standin]:
    async with digitalocean_at(tmp_path / "digitalocean.sqlite", clock) as standin:
        yield standin


async def order(cloud: Standin, **body: Any) -> dict[str, Any]:
    answer = await cloud.http.post(DROPLETS, json={**NEW, **body})
    assert answer.status_code == 202, answer.text
    return answer.json()


async def active(cloud: Standin, **body: Any) -> dict[str, Any]:
    ordered = await order(cloud, **body)
    cloud.clock.advance(seconds=10)
    return (await cloud.http.get(f"{DROPLETS}/{ordered['droplet']['id']}")).json()["droplet"]


async def names(cloud: Standin, **query: Any) -> list[str]:
    return [droplet["name"] for droplet in (await cloud.http.get(DROPLETS, params=query)).json()["droplets"]]


async def test_the_address_comes_when_the_action_has_completed(tmp_path: Path, clock: Clock) -> None:
    room = Room()
    async with digitalocean_at(tmp_path / "state", clock, machine=room) as cloud:
        ordered = await order(cloud, tags=["clawdeploy", "op:1"], user_data="#cloud-config", ipv6=True)
        assert ordered["droplet"]["networks"] == {"v4": [], "v6": []}
        (link,) = ordered["links"]["actions"]
        path = httpx.URL(link["href"]).path
        assert (await cloud.http.get(path)).json()["action"]["status"] == "in-progress"
        clock.advance(seconds=2)
        action = (await cloud.http.get(path)).json()["action"]
        assert (action["status"], action["resource_id"]) == ("completed", ordered["droplet"]["id"])
        droplet = (await cloud.http.get(f"{DROPLETS}/{ordered['droplet']['id']}")).json()["droplet"]
        kinds = {network["type"]: network["ip_address"] for network in droplet["networks"]["v4"]}
        assert (droplet["status"], droplet["locked"]) == ("active", False)
        assert kinds["public"].startswith("127.65.")
    assert room.heard == [("#cloud-config", kinds["public"])]


async def test_names_repeat_and_tags_find_whatever_their_case(cloud: Standin) -> None:
    await order(cloud, tags=["Op:1", "all"])
    await order(cloud, tags=["op:1"])
    await order(cloud, name="other", tags=["all"])
    assert await names(cloud, tag_name="oP:1") == ["i-1", "i-1"]
    assert await names(cloud, name="other") == ["other"]
    assert (await cloud.http.get(DROPLETS, params={"tag_name": "all", "name": "x"})).status_code == 422
    tag = (await cloud.http.get("/v2/tags/op:1")).json()["tag"]
    assert (tag["name"], tag["resources"]["count"]) == ("Op:1", 2)


async def test_several_are_ordered_at_once(cloud: Standin) -> None:
    answer = await cloud.http.post(DROPLETS, json={**NEW, "name": None, "names": ["a", "b"]})
    assert [droplet["name"] for droplet in answer.json()["droplets"]] == ["a", "b"]
    assert len(answer.json()["links"]["actions"]) == 2


async def test_a_destroyed_droplet_lingers_and_is_gone(cloud: Standin) -> None:
    droplet = await active(cloud)
    path = f"{DROPLETS}/{droplet['id']}"
    assert (await cloud.http.delete(path)).status_code == 204
    assert (await cloud.http.get(path)).status_code == 200
    cloud.clock.advance(seconds=2)
    assert (await cloud.http.get(path)).status_code == 404
    assert (await cloud.http.delete(path)).status_code == 404
    assert await names(cloud) == []


async def test_all_with_a_tag_are_destroyed_at_once(cloud: Standin) -> None:
    for name, tag in (("a", "x"), ("b", "x"), ("c", "y")):
        await active(cloud, name=name, tags=[tag])
    assert (await cloud.http.delete(DROPLETS, params={"tag_name": "x"})).status_code == 204
    cloud.clock.advance(seconds=2)
    assert await names(cloud) == ["c"]


async def test_the_rest_of_a_droplets_life_is_as_described(cloud: Standin) -> None:
    droplet = await active(cloud)
    path = f"{DROPLETS}/{droplet['id']}"
    for body in (
        {"type": "reboot"},
        {"type": "power_cycle"},
        {"type": "rename", "name": "renamed"},
        {"type": "rebuild", "image": "ubuntu-24-04-x64"},
        {"type": "shutdown"},
        {"type": "resize", "size": "s-2vcpu-4gb"},
        {"type": "power_on"},
    ):
        begun = await cloud.http.post(f"{path}/actions", json=body)
        assert begun.status_code == 201, begun.text
        held = await cloud.http.post(f"{path}/actions", json={"type": "reboot"})
        assert held.status_code == 422
        cloud.clock.advance(seconds=5)
        await cloud.http.get(path)
        cloud.clock.advance(seconds=5)
    now = (await cloud.http.get(path)).json()["droplet"]
    assert (now["name"], now["size_slug"], now["image"]["slug"], now["status"]) == (
        "renamed",
        "s-2vcpu-4gb",
        "ubuntu-24-04-x64",
        "active",
    )
    actions = (await cloud.http.get(f"{path}/actions")).json()["actions"]
    assert {action["status"] for action in actions} == {"completed"}
    assert (await cloud.http.get(f"{path}/actions/{actions[0]['id']}")).status_code == 200


async def test_listings_come_in_pages_with_whole_addresses(cloud: Standin) -> None:
    assert (await cloud.http.get(DROPLETS)).json()["links"] == {}
    for number in range(5):
        await order(cloud, name=f"s{number}")
    answer = (await cloud.http.get(DROPLETS, params={"per_page": 2, "page": 2})).json()
    assert answer["meta"] == {"total": 5}
    assert set(answer["links"]["pages"]) == {"first", "prev", "next", "last"}
    following = (await cloud.http.get(answer["links"]["pages"]["next"])).json()
    assert [droplet["name"] for droplet in following["droplets"]] == ["s4"]


@pytest.mark.parametrize(
    "change",
    [
        {"size": "huge"},
        {"region": "moon1"},
        {"image": "windows"},
        {"ssh_keys": [1]},
        {"tags": ["a b"]},
        {"name": "not a name"},
        {"user_data": "x" * 65537},
    ],
)
async def test_a_bad_order_is_refused_and_costs_nothing(cloud: Standin, change: dict[str, Any]) -> None:
    refused = await cloud.http.post(DROPLETS, json={**NEW, **change})
    assert (refused.status_code, refused.json()["id"]) == (422, "unprocessable_entity")
    assert (await cloud.bill())["lines"] == []


async def test_limit_and_sold_out_are_refused(tmp_path: Path, clock: Clock) -> None:
    async with digitalocean_at(tmp_path / "state", clock, server_limit=1) as cloud:
        await cloud.http.put("/_emulator/sold-out", json=[{"place": "fra1"}])
        assert (await cloud.http.post(DROPLETS, json=NEW)).status_code == 422
        regions = (await cloud.http.get("/v2/regions")).json()["regions"]
        assert [region["slug"] for region in regions if not region["available"]] == ["fra1"]
        await order(cloud, region="ams3")
        assert (await cloud.http.post(DROPLETS, json={**NEW, "region": "ams3"})).status_code == 422


async def test_three_limits_are_kept(tmp_path: Path, clock: Clock) -> None:
    async with digitalocean_at(tmp_path / "state", clock, requests_per_hour=30, requests_per_minute=20) as cloud:
        keys = [await cloud.http.get("/v2/account/keys") for _ in range(11)]
        assert [answer.status_code for answer in keys] == [200] * 10 + [429]
        assert keys[-1].headers["retry-after"] == "60"
        burst = [await cloud.http.get("/v2/account") for _ in range(11)]
        assert [answer.status_code for answer in burst] == [200] * 10 + [429]
        clock.advance(minutes=1)
        hour = [await cloud.http.get("/v2/account") for _ in range(11)]
        assert [answer.status_code for answer in hour] == [200] * 10 + [429]
        assert hour[-1].json()["id"] == "too_many_requests"
        assert "retry-after" not in hour[-1].headers
        assert hour[-1].headers["ratelimit-reset"] == str(int(clock().timestamp()) + 3540)


async def test_time_is_billed_by_the_second_but_a_cent_at_least_and_a_month_at_most(cloud: Standin) -> None:
    droplet = await active(cloud)
    assert (await cloud.bill())["total_micros"] == 10_000
    cloud.clock.advance(hours=1, seconds=-10)
    assert (await cloud.bill())["total_micros"] == 17_860
    cloud.clock.advance(days=9, hours=11)  # to the first of December, midnight
    november = 228 * 17_860
    assert (await cloud.bill())["total_micros"] == november
    cloud.clock.advance(days=30)
    assert (await cloud.bill())["total_micros"] == november + 12_000_000
    await cloud.http.delete(f"{DROPLETS}/{droplet['id']}")
    cloud.clock.advance(days=20)
    assert (await cloud.bill())["total_micros"] == november + 12_000_000


async def test_an_order_that_errs_leaves_a_droplet_without_an_address(cloud: Standin) -> None:
    await cloud.fault("action_error", method="POST", path="/droplets")
    ordered = await order(cloud)
    cloud.clock.advance(seconds=10)
    action = (await cloud.http.get(f"/v2/actions/{ordered['links']['actions'][0]['id']}")).json()["action"]
    assert action["status"] == "errored"
    droplet = (await cloud.http.get(f"{DROPLETS}/{ordered['droplet']['id']}")).json()["droplet"]
    assert droplet["networks"]["v4"] == []
    assert (await cloud.http.delete(f"{DROPLETS}/{droplet['id']}")).status_code == 204
    cloud.clock.advance(seconds=10)
    assert await names(cloud) == []


async def test_an_order_that_never_ends_is_ended_by_hand(cloud: Standin) -> None:
    await cloud.fault("action_endless", method="POST", path="/droplets")
    path = f"{DROPLETS}/{(await order(cloud))['droplet']['id']}"
    cloud.clock.advance(days=1)
    assert (await cloud.http.get(path)).json()["droplet"]["status"] == "new"
    assert (await cloud.http.delete("/_emulator/endless", headers=BEARER)).status_code == 204
    assert (await cloud.http.get(path)).json()["droplet"]["status"] == "active"


async def test_a_star_in_a_faults_path_is_one_segment(cloud: Standin) -> None:
    droplet = (await active(cloud))["id"]
    await cloud.fault("server_error", path="/v2/droplets/*/actions")
    assert (await cloud.http.get(f"{DROPLETS}/{droplet}")).status_code == 200
    assert (await cloud.http.get(f"{DROPLETS}/{droplet}/actions")).status_code == 500


async def test_a_destruction_that_never_ends_is_begun_again(cloud: Standin) -> None:
    droplet = await active(cloud)
    path = f"{DROPLETS}/{droplet['id']}"
    await cloud.fault("action_endless", method="DELETE", path="/droplets")
    await cloud.http.delete(path)
    cloud.clock.advance(days=1)
    assert (await cloud.http.get(path)).json()["droplet"]["locked"] is True
    await cloud.http.delete(path)
    cloud.clock.advance(seconds=2)
    assert (await cloud.http.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("kind", "status", "done"), [("server_error", 500, 0), ("rate_limit", 429, 0), ("gateway_timeout", 504, 1)]
)
async def test_faults_on_the_wire_have_digitaloceans_shape(cloud: Standin, kind: str, status: int, done: int) -> None:
    await cloud.fault(kind, method="POST", path="/droplets")
    assert (await cloud.http.post(DROPLETS, json=NEW)).status_code == status
    assert len(await names(cloud)) == done


async def test_keys_are_named_by_number_or_fingerprint_and_stored_once(cloud: Standin) -> None:
    made = await cloud.http.post("/v2/account/keys", json={"name": "a", "public_key": public_key()})
    assert made.status_code == 201
    again = await cloud.http.post("/v2/account/keys", json={"name": "b", "public_key": public_key()})
    assert (again.status_code, again.json()["id"]) == (422, "unprocessable_entity")
    key = made.json()["ssh_key"]
    await cloud.http.put(f"/v2/account/keys/{key['fingerprint']}", json={"name": "renamed"})
    assert (await cloud.http.get(f"/v2/account/keys/{key['id']}")).json()["ssh_key"]["name"] == "renamed"
    await order(cloud, ssh_keys=[key["fingerprint"]])
    assert (await cloud.http.delete(f"/v2/account/keys/{key['id']}")).status_code == 204
    assert (await cloud.http.get(f"/v2/account/keys/{key['id']}")).status_code == 404


async def test_a_firewall_is_waiting_and_then_has_succeeded(cloud: Standin) -> None:
    droplet = await active(cloud)
    rules = {
        "inbound_rules": [{"protocol": "tcp", "ports": "22", "sources": {"addresses": ["0.0.0.0/0", "::/0"]}}],
        "outbound_rules": [{"protocol": "icmp", "destinations": {"addresses": ["0.0.0.0/0"]}}],
    }
    made = await cloud.http.post("/v2/firewalls", json={"name": "fw", "droplet_ids": [droplet["id"]], **rules})
    assert made.status_code == 202
    firewall = made.json()["firewall"]
    assert (firewall["status"], firewall["pending_changes"][0]["droplet_id"]) == ("waiting", droplet["id"])
    assert (await cloud.http.post("/v2/firewalls", json={"name": "fw", **rules})).status_code == 409
    assert (await cloud.http.post("/v2/firewalls", json={"name": "empty"})).status_code == 422
    cloud.clock.advance(seconds=2)
    path = f"/v2/firewalls/{firewall['id']}"
    assert (await cloud.http.get(path)).json()["firewall"]["status"] == "succeeded"
    await cloud.http.put(path, json={"name": "fw", "tags": ["t"], **rules})
    listed = (await cloud.http.get("/v2/firewalls")).json()["firewalls"]
    assert [each["tags"] for each in listed] == [["t"]]
    assert (await cloud.http.delete(path)).status_code == 204


@pytest.mark.parametrize("path", ["/account", "/regions", "/sizes", "/images", "/images/debian-12-x64", "/tags"])
async def test_the_catalogue_is_as_described(cloud: Standin, path: str) -> None:
    assert (await cloud.http.get(f"/v2{path}")).status_code == 200


async def test_only_the_token_opens_anything(cloud: Standin) -> None:
    refused = await cloud.http.get(DROPLETS, headers={"Authorization": "Bearer wrong"})
    assert refused.json() == {"id": "unauthorized", "message": "Unable to authenticate you."}
    assert (await cloud.http.get("/v2/nowhere")).json()["id"] == "not_found"
    assert (await cloud.http.get("/_emulator/bill", headers=BEARER)).status_code == 200

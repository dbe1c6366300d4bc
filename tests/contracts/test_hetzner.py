"""The stand-in of Hetzner Cloud. Every answer is judged by the published description."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contracts.clouds import BEARER, Room, Standin, hetzner_at, public_key
from tests.contracts.conftest import Clock

SERVERS = "/v1/servers"
NEW = {"name": "i-1", "server_type": "cx23", "image": "debian-12", "location": "fsn1"}


@pytest.fixture
async def cloud(tmp_path: Path, clock: Clock) -> AsyncIterator[Standin]:
    async with hetzner_at(tmp_path / "hetzner.sqlite", clock) as standin:
        yield standin


async def create(cloud: Standin, **body: Any) -> dict[str, Any]:
    answer = await cloud.http.post(SERVERS, json={**NEW, **body})
    assert answer.status_code == 201, answer.text
    return answer.json()["server"]


async def running(cloud: Standin, **body: Any) -> dict[str, Any]:
    server = await create(cloud, **body)
    cloud.clock.advance(seconds=10)
    return (await cloud.http.get(f"{SERVERS}/{server['id']}")).json()["server"]


async def names(cloud: Standin, **query: Any) -> list[str]:
    answer = await cloud.http.get(SERVERS, params=query)
    return [server["name"] for server in answer.json()["servers"]]


async def test_a_server_is_there_at_once_and_its_actions_grow_until_it_runs(cloud: Standin) -> None:
    answer = (await cloud.http.post(SERVERS, json=NEW)).json()
    creating, starting = answer["action"], answer["next_actions"][0]
    assert (answer["server"]["status"], creating["status"], starting["status"]) == (
        "initializing",
        "running",
        "running",
    )
    assert answer["server"]["public_net"]["ipv4"]["ip"].startswith("127.64.")
    progress: list[int] = []
    for _ in range(4):
        cloud.clock.advance(seconds=0.5)
        progress.append((await cloud.http.get(f"/v1/actions/{creating['id']}")).json()["action"]["progress"])
    assert progress == [25, 50, 75, 100]
    cloud.clock.advance(seconds=2)
    both = await cloud.http.get("/v1/actions", params={"id": [creating["id"], starting["id"]]})
    assert [action["status"] for action in both.json()["actions"]] == ["success", "success"]
    server = (await cloud.http.get(f"{SERVERS}/{answer['server']['id']}")).json()["server"]
    assert (server["status"], server["locked"]) == ("running", False)


async def test_user_data_reach_the_machine_and_again_after_a_rebuild(tmp_path: Path, clock: Clock) -> None:
    room = Room()
    async with hetzner_at(tmp_path / "state", clock, machine=room) as cloud:
        server = await running(cloud, user_data="#cloud-config\nhello")
        address = server["public_net"]["ipv4"]["ip"]
        await asyncio.sleep(0)
        await cloud.http.post(f"{SERVERS}/{server['id']}/actions/rebuild", json={"image": "ubuntu-24.04"})
        clock.advance(seconds=10)
        await cloud.http.get(SERVERS)
        await cloud.app.state.cloud.machines.close()
    assert room.heard == [("#cloud-config\nhello", address)] * 2


async def test_a_name_is_taken_until_its_server_is_gone(cloud: Standin) -> None:
    server = await running(cloud)
    refused = await cloud.http.post(SERVERS, json=NEW)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "uniqueness_error")
    deleted = await cloud.http.delete(f"{SERVERS}/{server['id']}")
    assert deleted.json()["action"]["command"] == "delete_server"
    assert await names(cloud) == ["i-1"]
    cloud.clock.advance(seconds=10)
    assert await names(cloud) == []
    assert (await cloud.http.delete(f"{SERVERS}/{server['id']}")).status_code == 404
    await create(cloud)


async def test_a_shutdown_has_succeeded_before_the_server_is_off(cloud: Standin) -> None:
    server = await running(cloud)
    await cloud.http.post(f"{SERVERS}/{server['id']}/actions/shutdown")
    seen: list[str] = []
    for seconds in (2.0, 2.0):
        cloud.clock.advance(seconds=seconds)
        seen.append((await cloud.http.get(f"{SERVERS}/{server['id']}")).json()["server"]["status"])
    assert seen == ["running", "off"]


async def test_a_held_server_is_locked(cloud: Standin) -> None:
    server = await create(cloud)
    for call in (
        cloud.http.delete(f"{SERVERS}/{server['id']}"),
        cloud.http.post(f"{SERVERS}/{server['id']}/actions/poweroff"),
    ):
        refused = await call
        assert (refused.status_code, refused.json()["error"]["code"]) == (423, "locked")


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("env=prod", ["a", "c"]),
        ("env==prod,!team", ["c"]),
        ("env!=prod", ["b", "d"]),
        ("team", ["a", "b"]),
        ("env in (prod, test)", ["a", "b", "c"]),
        ("env notin (prod),team", ["b"]),
        ("clawdeploy.instance/id=x_1", ["d"]),
    ],
)
async def test_labels_are_selected_by_the_published_language(cloud: Standin, selector: str, found: list[str]) -> None:
    for name, labels in {
        "a": {"env": "prod", "team": "x"},
        "b": {"env": "test", "team": ""},
        "c": {"env": "prod"},
        "d": {"clawdeploy.instance/id": "x_1"},
    }.items():
        await create(cloud, name=name, labels=labels)
    assert await names(cloud, label_selector=selector) == found


async def test_listings_come_in_pages_with_links(cloud: Standin) -> None:
    for number in range(7):
        await create(cloud, name=f"s{number}")
    answer = await cloud.http.get(SERVERS, params={"per_page": 3, "page": 2})
    assert [server["name"] for server in answer.json()["servers"]] == ["s3", "s4", "s5"]
    assert answer.json()["meta"]["pagination"] == {
        "page": 2,
        "per_page": 3,
        "previous_page": 1,
        "next_page": 3,
        "last_page": 3,
        "total_entries": 7,
    }
    assert httpx.URL(answer.links["next"]["url"]).params["page"] == "3"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"name": "not a hostname"}, 422, "invalid_input"),
        ({"server_type": "huge"}, 422, "invalid_input"),
        ({"image": "windows"}, 422, "invalid_input"),
        ({"location": "moon"}, 422, "invalid_input"),
        ({"location": "ash"}, 422, "invalid_input"),
        ({"ssh_keys": ["nobody"]}, 422, "invalid_input"),
        ({"firewalls": [{"firewall": 1}]}, 422, "invalid_input"),
        ({"labels": {"hetzner.cloud/x": "y"}}, 422, "invalid_input"),
        ({"labels": {"a": "b c"}}, 422, "invalid_input"),
        ({"user_data": "x" * 32769}, 422, "invalid_input"),
        ({"datacenter": "fsn1-dc14"}, 422, "invalid_input"),
    ],
)
async def test_a_bad_order_is_refused_and_costs_nothing(
    cloud: Standin, change: dict[str, Any], status: int, code: str
) -> None:
    refused = await cloud.http.post(SERVERS, json={**NEW, **change})
    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
    assert (await cloud.bill())["lines"] == []


async def test_what_is_sold_out_is_neither_shown_as_available_nor_sold(cloud: Standin) -> None:
    await cloud.http.put("/_emulator/sold-out", json=[{"place": "fsn1", "plan": "cx23"}])
    refused = await cloud.http.post(SERVERS, json=NEW)
    assert (refused.status_code, refused.json()["error"]["code"]) == (412, "resource_unavailable")
    types = (await cloud.http.get("/v1/server_types", params={"name": "cx23"})).json()["server_types"]
    assert {place["name"]: place["available"] for place in types[0]["locations"]} == {
        "fsn1": False,
        "nbg1": True,
        "hel1": True,
    }
    await create(cloud, location="nbg1")


async def test_the_project_has_a_limit(tmp_path: Path, clock: Clock) -> None:
    async with hetzner_at(tmp_path / "state", clock, server_limit=1) as cloud:
        await create(cloud)
        refused = await cloud.http.post(SERVERS, json={**NEW, "name": "i-2"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "resource_limit_exceeded")


async def test_calls_are_counted_and_the_bucket_refills(tmp_path: Path, clock: Clock) -> None:
    async with hetzner_at(tmp_path / "state", clock, requests_per_hour=3) as cloud:
        answers = [await cloud.http.get("/v1/locations") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
        assert answers[3].json()["error"]["code"] == "rate_limit_exceeded"
        assert int(answers[3].headers["RateLimit-Reset"]) == int(clock().timestamp()) + 3600
        clock.advance(minutes=20)
        assert (await cloud.http.get("/v1/locations")).status_code == 200


async def test_a_new_server_may_be_missing_from_listings_for_a_while(tmp_path: Path, clock: Clock) -> None:
    async with hetzner_at(tmp_path / "state", clock, visibility_seconds=5) as cloud:
        server = await create(cloud)
        assert await names(cloud) == []
        assert (await cloud.http.get(f"{SERVERS}/{server['id']}")).status_code == 200
        clock.advance(seconds=5)
        assert await names(cloud) == ["i-1"]


async def test_a_key_is_named_by_its_fingerprint_and_stored_once(cloud: Standin) -> None:
    first = await cloud.http.post("/v1/ssh_keys", json={"name": "a", "public_key": public_key()})
    assert first.status_code == 201
    twin = await cloud.http.post("/v1/ssh_keys", json={"name": "b", "public_key": public_key()})
    assert (twin.status_code, twin.json()["error"]["code"]) == (409, "uniqueness_error")
    bad = await cloud.http.post("/v1/ssh_keys", json={"name": "c", "public_key": "ssh-rsa nonsense"})
    assert bad.status_code == 422
    fingerprint = first.json()["ssh_key"]["fingerprint"]
    found = await cloud.http.get("/v1/ssh_keys", params={"fingerprint": fingerprint})
    assert [key["name"] for key in found.json()["ssh_keys"]] == ["a"]


async def test_a_firewall_in_use_stays(cloud: Standin) -> None:
    made = await cloud.http.post("/v1/firewalls", json={"name": "f"})
    path = f"/v1/firewalls/{made.json()['firewall']['id']}"
    server = await running(cloud, firewalls=[{"firewall": made.json()["firewall"]["id"]}])
    refused = await cloud.http.delete(path)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "resource_in_use")
    await cloud.http.delete(f"{SERVERS}/{server['id']}")
    cloud.clock.advance(seconds=10)
    assert (await cloud.http.delete(path)).status_code == 204


async def test_every_begun_hour_is_billed_up_to_the_price_of_a_month(cloud: Standin) -> None:
    server = await running(cloud)
    bill = await cloud.bill()
    assert [(line["item"], line["charged_micros"]) for line in bill["lines"]] == [
        ("cx23", 8_800),
        ("primary_ip_v4", 800),
    ]
    cloud.clock.advance(minutes=59, seconds=51)
    assert (await cloud.bill())["total_micros"] == 2 * 9_600
    await cloud.http.post(f"{SERVERS}/{server['id']}/actions/poweroff")
    cloud.clock.advance(days=39)  # over November's end, off all the time, and more than December's price by hours
    november, december = 228 * 8_800, 5_490_000
    assert (await cloud.bill())["lines"][0]["charged_micros"] == november + december
    await cloud.http.delete(f"{SERVERS}/{server['id']}")
    cloud.clock.advance(seconds=10)
    final = (await cloud.bill())["total_micros"]
    cloud.clock.advance(days=9)
    assert (await cloud.bill())["total_micros"] == final


async def test_an_action_fails_on_demand_and_those_after_it_with_it(cloud: Standin) -> None:
    await cloud.fault("action_error", method="POST", path="/servers")
    answer = (await cloud.http.post(SERVERS, json=NEW)).json()
    cloud.clock.advance(seconds=10)
    ids = [answer["action"]["id"], answer["next_actions"][0]["id"]]
    actions = (await cloud.http.get("/v1/actions", params={"id": ids})).json()["actions"]
    assert [action["status"] for action in actions] == ["error", "error"]
    assert actions[0]["error"] == {"code": "action_failed", "message": "Action failed"}
    server = (await cloud.http.get(f"{SERVERS}/{answer['server']['id']}")).json()["server"]
    assert server["status"] == "off"
    assert len((await cloud.bill())["lines"]) == 2  # it exists, so it is paid for


async def test_an_action_that_never_ends_gives_way_to_a_deletion_only(cloud: Standin) -> None:
    await cloud.fault("action_endless", method="POST", path="/servers")
    answer = (await cloud.http.post(SERVERS, json=NEW)).json()
    server_id = answer["server"]["id"]
    cloud.clock.advance(days=1)
    action = (await cloud.http.get(f"/v1/actions/{answer['action']['id']}")).json()["action"]
    assert (action["status"], action["progress"], action["finished"]) == ("running", 99, None)
    assert (await cloud.http.post(f"{SERVERS}/{server_id}/actions/reboot")).status_code == 423
    assert (await cloud.http.delete(f"{SERVERS}/{server_id}")).status_code == 200
    cloud.clock.advance(seconds=10)
    assert (await cloud.http.get(f"{SERVERS}/{server_id}")).status_code == 404
    ended = (await cloud.http.get(f"/v1/actions/{answer['action']['id']}")).json()["action"]
    assert ended["status"] == "error"


async def test_listings_lie_on_demand(cloud: Standin) -> None:
    for number in range(4):
        await create(cloud, name=f"s{number}")
    await cloud.fault("listing_empty", path="/servers")
    assert await names(cloud) == []
    await cloud.fault("listing_short", path="/servers")
    assert await names(cloud) == ["s0", "s1"]
    assert len(await names(cloud)) == 4


@pytest.mark.parametrize(
    ("kind", "status", "done"), [("server_error", 500, 0), ("rate_limit", 429, 0), ("gateway_timeout", 504, 1)]
)
async def test_faults_on_the_wire_have_hetzners_shape(cloud: Standin, kind: str, status: int, done: int) -> None:
    await cloud.fault(kind, method="POST", path="/servers")
    struck = await cloud.http.post(SERVERS, json=NEW)
    assert struck.status_code == status
    assert len(await names(cloud)) == done


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after"])
async def test_a_silence_leaves_open_whether_it_was_done(cloud: Standin, kind: str) -> None:
    await cloud.fault(kind, method="POST", path="/servers", seconds=0.01)
    with pytest.raises(httpx.RemoteProtocolError):
        await cloud.http.post(SERVERS, json=NEW)
    assert len(await names(cloud)) == (kind == "timeout_after")


async def test_everything_survives_the_end_of_the_standin(tmp_path: Path, clock: Clock) -> None:
    async with hetzner_at(tmp_path / "state", clock) as cloud:
        server = await create(cloud, labels={"a": "b"})
    clock.advance(seconds=10)
    async with hetzner_at(tmp_path / "state", clock) as cloud:
        after = (await cloud.http.get(f"{SERVERS}/{server['id']}")).json()["server"]
        assert (after["status"], after["labels"], after["public_net"]["ipv4"]) == (
            "running",
            {"a": "b"},
            server["public_net"]["ipv4"],
        )
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0


async def test_only_the_token_opens_anything(cloud: Standin) -> None:
    for headers in ({"Authorization": ""}, {"Authorization": "Bearer wrong"}):
        refused = await cloud.http.get(SERVERS, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unauthorized")
        assert (await cloud.http.get("/_emulator/bill", headers=headers)).status_code == 401
    assert (await cloud.http.get("/_emulator/bill", headers=BEARER)).status_code == 200


async def test_datacenters_are_gone_and_unknown_routes_are_refused(cloud: Standin) -> None:
    gone = await cloud.http.get("/v1/datacenters")
    assert (gone.status_code, gone.json()["error"]["code"]) == (410, "deprecated_api_endpoint")
    nowhere = await cloud.http.get("/v1/nowhere")
    assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "not_found")
    broken = await cloud.http.post(SERVERS, content="{", headers={"Content-Type": "application/json"})
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, "json_error")


@pytest.mark.parametrize(
    "path",
    [
        "/locations",
        "/locations/1",
        "/server_types/114",
        "/images",
        "/images/114690387",
        "/isos",
        "/volumes",
        "/pricing",
    ],
)
async def test_the_catalogue_is_as_described(cloud: Standin, path: str) -> None:
    assert (await cloud.http.get(f"/v1{path}")).status_code == 200


async def test_the_rest_of_a_servers_life_is_as_described(cloud: Standin) -> None:
    server = await running(cloud)
    path = f"{SERVERS}/{server['id']}"
    for verb, body in {
        "reboot": None,
        "reset": None,
        "enable_rescue": {"type": "linux64"},
        "disable_rescue": None,
        "poweroff": None,
        "change_type": {"server_type": "cx33", "upgrade_disk": False},
        "poweron": None,
        "change_protection": {"delete": True, "rebuild": True},
    }.items():
        assert (await cloud.http.post(f"{path}/actions/{verb}", json=body)).status_code == 201, verb
        cloud.clock.advance(seconds=10)
    now = (await cloud.http.put(path, json={"name": "renamed", "labels": {}})).json()["server"]
    assert (now["name"], now["status"], now["server_type"]["name"]) == ("renamed", "running", "cx33")
    assert (await cloud.http.delete(path)).json()["error"]["code"] == "protected"
    span = {"type": "cpu,network", "start": "2026-11-21T12:00:00Z", "end": "2026-11-21T12:10:00Z"}
    assert (await cloud.http.get(f"{path}/metrics", params=span)).status_code == 200
    assert len((await cloud.http.get(f"{path}/actions")).json()["actions"]) == 10
    assert len((await cloud.http.get("/v1/primary_ips")).json()["primary_ips"]) == 2

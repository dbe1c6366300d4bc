"""The stand-in of OVHcloud. VPS and account answers are judged by the published descriptions."""

import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contracts.clouds import OvhSignature, Room, Standin, ovh_at, public_key
from tests.contracts.conftest import Clock

CART, VPS = "/1.0/order/cart", "/1.0/vps"
ITEM = {"planCode": "vps-2025-model1", "duration": "P1M", "pricingMode": "default", "quantity": 1}
SAID = {"vps_datacenter": "GRA", "vps_os": "Debian 12"}
PAID = {"autoPayWithPreferredPaymentMethod": True, "waiveRetractationPeriod": True}


@pytest.fixture
async def cloud(tmp_path: Path, clock: Clock) -> AsyncIterator[Standin]:
    async with ovh_at(tmp_path / "ovh.sqlite", clock) as standin:
        yield standin


async def filled_cart(cloud: Standin, **said: str) -> str:
    cart = (await cloud.http.post(CART, json={"ovhSubsidiary": "FR", "description": "op-1"})).json()["cartId"]
    await cloud.http.post(f"{CART}/{cart}/assign")
    item = (await cloud.http.post(f"{CART}/{cart}/vps", json=ITEM)).json()["itemId"]
    for label, value in {**SAID, **said}.items():
        path = f"{CART}/{cart}/item/{item}/configuration"
        assert (await cloud.http.post(path, json={"label": label, "value": value})).status_code == 200
    return cart


async def ordered(cloud: Standin) -> int:
    cart = await filled_cart(cloud)
    return (await cloud.http.post(f"{CART}/{cart}/checkout", json=PAID)).json()["orderId"]


async def service_of(cloud: Standin, order: int) -> str:
    detail = (await cloud.http.get(f"/1.0/me/order/{order}/details")).json()[0]
    return (await cloud.http.get(f"/1.0/me/order/{order}/details/{detail}")).json()["domain"]


async def running(cloud: Standin) -> str:
    order = await ordered(cloud)
    cloud.clock.advance(seconds=5)
    await cloud.http.get("/1.0/vps")
    cloud.clock.advance(seconds=5)
    return await service_of(cloud, order)


async def state(cloud: Standin, name: str) -> str:
    return (await cloud.http.get(f"{VPS}/{name}")).json()["state"]


async def test_an_order_is_checked_and_delivered_and_only_then_names_its_service(cloud: Standin) -> None:
    order = await ordered(cloud)
    seen: list[str] = []
    for _ in range(4):
        seen.append((await cloud.http.get(f"/1.0/me/order/{order}/status")).json())
        assert (await service_of(cloud, order)) == "*" or seen[-1] == "delivered"
        cloud.clock.advance(seconds=2)
    assert seen == ["checking", "delivering", "delivering", "delivered"]
    name = await service_of(cloud, order)
    assert (await cloud.http.get(VPS)).json() == [name]
    details = (await cloud.http.get(f"/1.0/me/order/{order}/details")).json()
    extensions = [(await cloud.http.get(f"/1.0/me/order/{order}/details/{each}/extension")).json() for each in details]
    products = [extension["order"]["plan"]["product"]["name"] for extension in extensions]
    assert products == ["virtualPrivateServer", "operatingSystem"]
    (address, _) = (await cloud.http.get(f"{VPS}/{name}/ips")).json()
    assert address.startswith("127.66.")
    assert (await cloud.http.get(f"{VPS}/{name}/ips/{address}")).json()["version"] == "v4"


async def test_in_the_united_states_an_operation_names_the_service(tmp_path: Path, clock: Clock) -> None:
    async with ovh_at(tmp_path / "state", clock, region="us") as cloud:
        order = await ordered(cloud)
        detail = (await cloud.http.get(f"/1.0/me/order/{order}/details")).json()[0]
        path = f"/1.0/me/order/{order}/details/{detail}/operations"
        assert (await cloud.http.get(path)).json() == []
        clock.advance(seconds=10)
        (operation,) = (await cloud.http.get(path)).json()
        name = (await cloud.http.get(f"{path}/{operation}")).json()["resource"]["name"]
        assert await service_of(cloud, order) == "*"
        assert (await cloud.http.get(VPS)).json() == [name]


async def test_in_europe_there_are_no_operations(cloud: Standin) -> None:
    order = await ordered(cloud)
    detail = (await cloud.http.get(f"/1.0/me/order/{order}/details")).json()[0]
    assert (await cloud.http.get(f"/1.0/me/order/{order}/details/{detail}/operations")).status_code == 404


async def test_a_cart_that_was_checked_out_is_read_only_and_is_one_order(cloud: Standin) -> None:
    cart = await filled_cart(cloud)
    quote = (await cloud.http.get(f"{CART}/{cart}/checkout")).json()
    assert (quote["orderId"], quote["prices"]["withoutTax"]["value"]) == (None, 4.58)
    assert (await cloud.http.get("/1.0/me/order")).json() == []
    await cloud.fault("timeout_after", method="POST", path="/order/cart", seconds=0.01)
    with pytest.raises(httpx.RemoteProtocolError):
        await cloud.http.post(f"{CART}/{cart}/checkout", json=PAID)
    assert (await cloud.http.get(f"{CART}/{cart}")).json()["readOnly"] is True
    since = (cloud.clock() - timedelta(minutes=1)).isoformat()
    assert len((await cloud.http.get("/1.0/me/order", params={"date.from": since})).json()) == 1
    assert (await cloud.http.post(f"{CART}/{cart}/checkout", json=PAID)).status_code == 400


async def test_an_order_waits_for_its_payment(cloud: Standin) -> None:
    cart = await filled_cart(cloud)
    order = (await cloud.http.post(f"{CART}/{cart}/checkout", json={})).json()["orderId"]
    cloud.clock.advance(days=1)
    assert (await cloud.http.get(f"/1.0/me/order/{order}/status")).json() == "notPaid"
    assert (await cloud.bill())["lines"] == []
    (method,) = (await cloud.http.get("/1.0/me/payment/method", params={"default": True})).json()
    assert (await cloud.http.get(f"/1.0/me/payment/method/{method}")).json()["status"] == "VALID"
    await cloud.http.post(f"/1.0/me/order/{order}/pay", json={"paymentMethod": {"id": method}})
    cloud.clock.advance(seconds=5)
    assert (await cloud.http.get(f"/1.0/me/order/{order}/status")).json() == "delivered"
    assert (await cloud.http.get(f"/1.0/me/order/{order}")).json()["priceWithoutTax"]["value"] == 4.58


async def test_a_cart_needs_all_that_is_required_and_in_stock(cloud: Standin) -> None:
    cart = (await cloud.http.post(CART, json={"ovhSubsidiary": "FR"})).json()["cartId"]
    await cloud.http.post(f"{CART}/{cart}/assign")
    item = (await cloud.http.post(f"{CART}/{cart}/vps", json=ITEM)).json()["itemId"]
    assert (await cloud.http.get(f"{CART}/{cart}/checkout")).status_code == 400
    needed = (await cloud.http.get(f"{CART}/{cart}/item/{item}/requiredConfiguration")).json()
    assert [each["label"] for each in needed if each["required"]] == ["vps_datacenter", "vps_os"]
    path = f"{CART}/{cart}/item/{item}/configuration"
    assert (await cloud.http.post(path, json={"label": "vps_os", "value": "Windows"})).status_code == 400
    await cloud.http.put("/_emulator/sold-out", json=[{"place": "GRA", "plan": "vps-2025-model1"}])
    full = await filled_cart(cloud)
    assert (await cloud.http.post(f"{CART}/{full}/checkout", json=PAID)).status_code == 400
    query = {"ovhSubsidiary": "FR", "planCode": "vps-2025-model1"}
    stock = (await cloud.http.get("/1.0/vps/order/rule/datacenter", params=query)).json()["datacenters"]
    assert [place["datacenter"] for place in stock if place["status"] == "out-of-stock"] == ["GRA"]


async def test_tasks_hold_a_vps_and_a_rebuild_wipes_it(tmp_path: Path, clock: Clock) -> None:
    room = Room()
    async with ovh_at(tmp_path / "state", clock, machine=room) as cloud:
        name = await running(cloud)
        assert await state(cloud, name) == "running"
        images = (await cloud.http.get(f"{VPS}/{name}/images/available")).json()
        named = {
            (await cloud.http.get(f"{VPS}/{name}/images/available/{each}")).json()["name"]: each for each in images
        }
        body = {"imageId": named["Ubuntu 24.04"], "publicSshKey": public_key(), "doNotSendPassword": True}
        task = (await cloud.http.post(f"{VPS}/{name}/rebuild", json=body)).json()
        assert (task["type"], task["state"], await state(cloud, name)) == ("reinstallVm", "doing", "installing")
        held = await cloud.http.post(f"{VPS}/{name}/reboot")
        assert (held.status_code, held.json()["class"]) == (400, "Client::BadRequest")
        assert "running tasks" in held.json()["message"]
        assert (await cloud.http.get(f"{VPS}/{name}/tasks", params={"state": "doing"})).json() == [task["id"]]
        clock.advance(seconds=2)
        assert (await cloud.http.get(f"{VPS}/{name}/tasks/{task['id']}")).json()["state"] == "done"
        assert (await cloud.http.get(f"{VPS}/{name}/images/current")).json()["name"] == "Ubuntu 24.04"
        for verb, after in (("stop", "stopped"), ("start", "running"), ("reboot", "running")):
            assert (await cloud.http.post(f"{VPS}/{name}/{verb}")).status_code == 200
            clock.advance(seconds=2)
            assert await state(cloud, name) == after
    assert len(room.heard) >= 2


async def test_lists_are_eventually_consistent(tmp_path: Path, clock: Clock) -> None:
    async with ovh_at(tmp_path / "state", clock, visibility_seconds=3, action_seconds=10) as cloud:
        order = await ordered(cloud)
        clock.advance(seconds=5)
        name = await service_of(cloud, order)
        assert (await cloud.http.get(VPS)).json() == []
        assert (await cloud.http.get(f"{VPS}/{name}/tasks")).json() == []
        assert (await cloud.http.post(f"{VPS}/{name}/reboot")).status_code == 400
        clock.advance(seconds=3)
        assert (await cloud.http.get(VPS)).json() == [name]
        assert len((await cloud.http.get(f"{VPS}/{name}/tasks")).json()) == 1


async def test_a_month_is_paid_ahead_and_the_contract_ends_when_told(cloud: Standin) -> None:
    name = await running(cloud)
    path = f"{VPS}/{name}/serviceInfos"
    assert (await cloud.bill())["total_micros"] == 4_580_000
    cloud.clock.advance(days=31)
    assert (await cloud.bill())["total_micros"] == 2 * 4_580_000
    info = (await cloud.http.get(path)).json()
    assert info["expiration"] == "2027-01-21"
    renew = {**info["renew"], "deleteAtExpiration": True}
    assert (await cloud.http.put(path, json={**info, "renew": renew})).status_code == 200
    cloud.clock.advance(days=20)
    assert (await cloud.http.get(VPS)).json() == [name]
    cloud.clock.advance(days=40)
    assert (await cloud.http.get(VPS)).json() == []
    assert (await cloud.bill())["total_micros"] == 2 * 4_580_000


async def test_a_fresh_contract_cannot_be_ended_yet(tmp_path: Path, clock: Clock) -> None:
    async with ovh_at(tmp_path / "state", clock, activation_seconds=30) as cloud:
        name = await running(cloud)
        info = (await cloud.http.get(f"{VPS}/{name}/serviceInfos")).json()
        refused = await cloud.http.put(f"{VPS}/{name}/serviceInfos", json=info)
        assert (refused.status_code, refused.json()["message"]) == (400, "Subscription is not active yet")


async def test_an_order_that_is_cancelled_is_paid_back(cloud: Standin) -> None:
    await cloud.fault("action_error", method="POST", path="/order/cart/", times=99)
    order = await ordered(cloud)
    cloud.clock.advance(seconds=10)
    assert (await cloud.http.get(f"/1.0/me/order/{order}/status")).json() == "cancelled"
    assert (await cloud.http.get(VPS)).json() == []
    assert (await cloud.bill())["total_micros"] == 0


async def test_tags_are_put_on_and_taken_off(cloud: Standin) -> None:
    name = await running(cloud)
    (resource,) = (await cloud.http.get("/v2/iam/resource", params={"resourceType": "vps"})).json()
    path = f"/v2/iam/resource/{resource['urn']}/tag"
    await cloud.http.post(path, json={"key": "managed-by", "value": "clawdeploy"})
    assert (await cloud.http.get(f"{VPS}/{name}")).json()["iam"]["tags"] == {"managed-by": "clawdeploy"}
    await cloud.http.delete(f"{path}/managed-by")
    assert (await cloud.http.get("/v2/iam/resource")).json()[0]["tags"] == {}


async def test_keys_are_kept_by_name(cloud: Standin) -> None:
    new = {"keyName": "platform", "key": public_key()}
    assert (await cloud.http.post("/1.0/me/sshKey", json=new)).status_code == 200
    assert (await cloud.http.post("/1.0/me/sshKey", json=new)).status_code == 409
    assert (await cloud.http.get("/1.0/me/sshKey")).json() == ["platform"]
    assert (await cloud.http.get("/1.0/me/sshKey/platform")).json()["key"] == public_key()
    await cloud.http.delete("/1.0/me/sshKey/platform")
    assert (await cloud.http.get("/1.0/me/sshKey/platform")).status_code == 404


async def test_a_signature_is_over_the_very_call_and_by_the_providers_clock(cloud: Standin) -> None:
    assert (await cloud.http.get("/1.0/me")).json()["ovhSubsidiary"] == "FR"
    late = Clock(now=cloud.clock() - timedelta(minutes=10))
    refused = await cloud.http.get("/1.0/me", auth=OvhSignature(late))
    assert (refused.status_code, refused.json()["errorCode"]) == (400, "QUERY_TIME_OUT")
    wrong = OvhSignature(cloud.clock)
    wrong.secret = hashlib.sha256(b"another").hexdigest()
    refused = await cloud.http.get("/1.0/me", auth=wrong)
    assert (refused.status_code, refused.json()["errorCode"]) == (400, "INVALID_SIGNATURE")
    unsigned = httpx.Auth()
    refused = await cloud.http.get("/1.0/me", auth=unsigned)
    assert (refused.status_code, refused.json()["errorCode"]) == (403, "INVALID_KEY")
    assert (await cloud.http.get("/1.0/auth/time", auth=unsigned)).json() == int(cloud.clock().timestamp())
    catalogue = await cloud.http.get("/1.0/order/catalog/public/vps", params={"ovhSubsidiary": "FR"}, auth=unsigned)
    assert catalogue.json()["plans"][0]["pricings"][0]["price"] == 458_000_000


@pytest.mark.parametrize(
    ("kind", "status", "done"), [("server_error", 500, 0), ("rate_limit", 429, 0), ("gateway_timeout", 504, 1)]
)
async def test_faults_on_the_wire_have_ovhs_shape(cloud: Standin, kind: str, status: int, done: int) -> None:
    cart = await filled_cart(cloud)
    await cloud.fault(kind, method="POST", path="/order/cart")
    struck = await cloud.http.post(f"{CART}/{cart}/checkout", json=PAID)
    assert struck.status_code == status
    assert "message" in struck.json()
    assert len((await cloud.http.get("/1.0/me/order")).json()) == done


async def test_listings_lie_on_demand(cloud: Standin) -> None:
    await running(cloud)
    await running(cloud)
    await cloud.fault("listing_short", path="/vps")
    assert [len((await cloud.http.get(VPS)).json()) for _ in range(2)] == [1, 2]


async def test_everything_survives_the_end_of_the_standin(tmp_path: Path, clock: Clock) -> None:
    async with ovh_at(tmp_path / "state", clock) as cloud:
        order = await ordered(cloud)
    clock.advance(seconds=5)
    async with ovh_at(tmp_path / "state", clock) as cloud:
        body: Any = (await cloud.http.get(f"/1.0/me/order/{order}/status")).json()
        assert body == "delivered"
        assert (await service_of(cloud, order)).endswith(".vps.ovh.net")

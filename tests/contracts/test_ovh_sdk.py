"""OVH's own SDK drives the stand-in from a cart to a contract that ends."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ovh
import pytest
from ovh.client import ENDPOINTS
from ovh.exceptions import BadParametersError, InvalidCredential, ResourceNotFoundError

from clawdeploy_emulators import create_ovh
from tests.contracts.clouds import APPLICATION, CONSUMER, TOKEN, ovh_settings, public_key
from tests.contracts.serving import served


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    settings = ovh_settings(tmp_path / "ovh.sqlite", action_seconds=0.05, delivery_seconds=0.2, activation_seconds=0)
    with served(create_ovh(settings)) as address:
        monkeypatch.setitem(ENDPOINTS, "standin", f"{address}/1.0")
        yield "standin"


@pytest.fixture
def client(endpoint: str) -> Any:
    return ovh.Client(endpoint=endpoint, application_key=APPLICATION, application_secret=TOKEN, consumer_key=CONSUMER)


def drained(client: Any, name: str) -> None:
    while client.get(f"/vps/{name}/tasks", state="doing") or client.get(f"/vps/{name}/tasks", state="todo"):
        time.sleep(0.02)


def test_a_vps_is_ordered_used_and_its_contract_ends(client: Any) -> None:
    cart = client.post("/order/cart", ovhSubsidiary="FR", description="op-1")["cartId"]
    client.post(f"/order/cart/{cart}/assign")
    offered = client.get(f"/order/cart/{cart}/vps")
    assert "vps-2025-model1" in [offer["planCode"] for offer in offered]
    plan = {"planCode": "vps-2025-model1", "duration": "P1M", "pricingMode": "default", "quantity": 1}
    item = client.post(f"/order/cart/{cart}/vps", **plan)["itemId"]
    for label, value in {"vps_datacenter": "GRA", "vps_os": "Debian 12"}.items():
        client.post(f"/order/cart/{cart}/item/{item}/configuration", label=label, value=value)
    assert client.get(f"/order/cart/{cart}/checkout")["prices"]["withTax"]["value"] == pytest.approx(5.496)
    order = client.post(
        f"/order/cart/{cart}/checkout", autoPayWithPreferredPaymentMethod=True, waiveRetractationPeriod=True
    )["orderId"]
    while client.get(f"/me/order/{order}/status") != "delivered":
        time.sleep(0.02)
    detail = client.get(f"/me/order/{order}/details")[0]
    name = client.get(f"/me/order/{order}/details/{detail}")["domain"]
    drained(client, name)
    assert client.get(f"/vps/{name}")["state"] == "running"
    image = next(
        each
        for each in client.get(f"/vps/{name}/images/available")
        if client.get(f"/vps/{name}/images/available/{each}")["name"] == "Ubuntu 24.04"
    )
    client.post(f"/vps/{name}/rebuild", imageId=image, publicSshKey=public_key(), doNotSendPassword=True)
    drained(client, name)
    client.post(f"/v2/iam/resource/urn:v1:eu:resource:vps:{name}/tag", key="managed-by", value="clawdeploy")
    (resource,) = client.get("/v2/iam/resource", resourceType="vps")
    assert resource["tags"] == {"managed-by": "clawdeploy"}
    info = client.get(f"/vps/{name}/serviceInfos")
    client.put(f"/vps/{name}/serviceInfos", renew={**info["renew"], "deleteAtExpiration": True})
    assert client.get(f"/vps/{name}/serviceInfos")["renew"]["deleteAtExpiration"] is True
    assert client.get("/vps") == [name]  # paid until then


def test_refusals_are_the_errors_the_sdk_knows(client: Any, endpoint: str) -> None:
    with pytest.raises(ResourceNotFoundError):
        client.get("/vps/vps-nobody.vps.ovh.net")
    with pytest.raises(BadParametersError):
        client.post("/order/cart", ovhSubsidiary="nowhere")
    stranger: Any = ovh.Client(
        endpoint=endpoint, application_key=APPLICATION, application_secret=TOKEN, consumer_key="x" * 32
    )
    with pytest.raises(InvalidCredential):
        stranger.get("/me")

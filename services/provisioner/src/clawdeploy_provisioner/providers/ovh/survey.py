"""An OVHcloud account as OVH sees it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from clawdeploy_provisioner.providers.cloud.survey import (
    CloudAccountFacts,
    CloudImage,
    CloudRegion,
    CloudServer,
    CloudSize,
    Survey,
)
from clawdeploy_provisioner.providers.ovh.choice import HOURS_A_MONTH, in_stock, is_sized, monthly_price
from clawdeploy_provisioner.providers.ovh.client import OvhClient
from clawdeploy_provisioner.providers.ovh.vps import is_ipv4

_GB_MB = 1024


async def survey(client: OvhClient, tags: OvhClient, *, subsidiary: str) -> Survey:
    """Plans and their stock, every VPS, and the systems that can be installed: OVH tells those of a VPS only, so without one there are
    none. A plan is sold by the month; its price an hour is a 730th of that.
    """
    catalogue = await client.get("/order/catalog/public/vps", ovhSubsidiary=subsidiary)
    sizes = [
        _size(plan, technical, await _stock(client, plan["planCode"], subsidiary=subsidiary))
        for plan, technical in _sized(catalogue)
    ]
    places = sorted({place for size in sizes for place in size.regions})
    names: list[str] = await client.get("/vps")
    tagged: list[dict[str, Any]] = await tags.get("/iam/resource", resourceType="vps")
    labels: dict[str, dict[str, str]] = {each["name"]: each.get("tags") or {} for each in tagged}
    return Survey(
        account=_account(await client.get("/me")),
        regions=[CloudRegion(id=place, name=place, available=True) for place in places],
        sizes=sizes,
        images=[] if not names else await _images(client, names[0]),
        servers=[await _server(client, name, labels.get(name, {})) for name in names],
    )


async def _stock(client: OvhClient, plan: str, *, subsidiary: str) -> list[str]:
    answer = await client.get("/vps/order/rule/datacenter", ovhSubsidiary=subsidiary, planCode=plan)
    return in_stock(answer)


def _account(me: Mapping[str, Any]) -> CloudAccountFacts:
    return CloudAccountFacts(name=me["nichandle"], status=None, server_limit=None)


def _sized(catalogue: Mapping[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Plans that are VPS with a monthly price, with what they are made of."""
    sizes: dict[str, dict[str, Any]] = {
        product["name"]: product["blobs"]["technical"] for product in catalogue["products"] if is_sized(product)
    }
    plans: list[dict[str, Any]] = catalogue["plans"]
    return [
        (plan, sizes[plan["product"]]) for plan in plans if plan["product"] in sizes and monthly_price(plan) is not None
    ]


def _size(plan: Mapping[str, Any], technical: Mapping[str, Any], places: list[str]) -> CloudSize:
    monthly = monthly_price(plan) or Decimal(0)
    storage: dict[str, Any] = technical.get("storage") or {}
    disks: list[dict[str, Any]] = storage.get("disks") or []
    return CloudSize(
        id=plan["planCode"],
        vcpus=technical["cpu"]["cores"],
        memory_mb=int(technical["memory"]["size"] * _GB_MB),
        disk_gb=sum(int(disk.get("capacity", 0)) for disk in disks),
        hourly=(monthly / HOURS_A_MONTH).quantize(Decimal("0.00001")),
        monthly=monthly,
        regions=places,
    )


async def _images(client: OvhClient, name: str) -> list[CloudImage]:
    path = f"/vps/{name}/images/available"
    found = [await client.get(f"{path}/{image}") for image in await client.get(path)]
    return [CloudImage(id=image["id"], name=image["name"]) for image in found]


async def _server(client: OvhClient, name: str, labels: Mapping[str, str]) -> CloudServer:
    vps = await client.get(f"/vps/{name}")
    service = await client.get(f"/vps/{name}/serviceInfos")
    addresses: list[str] = await client.get(f"/vps/{name}/ips")
    return CloudServer(
        ref=name,
        name=vps["displayName"] or name,
        status=vps["state"],
        region=vps["zone"],
        size=vps["model"]["name"],
        host=next((address for address in addresses if is_ipv4(address)), None),
        created_at=datetime.fromisoformat(service["creation"]).replace(tzinfo=UTC),
        labels=[f"{key}={value}" for key, value in labels.items()],
    )

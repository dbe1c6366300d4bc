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
from clawdeploy_provisioner.providers.ovh.catalogue import catalogue_of, stock_of
from clawdeploy_provisioner.providers.ovh.choice import HOURS_A_MONTH, plans_of
from clawdeploy_provisioner.providers.ovh.client import OvhClient
from clawdeploy_provisioner.providers.ovh.vps import Vps

_GB_MB = 1024


async def survey(client: OvhClient, tags: OvhClient, *, subsidiary: str) -> Survey:
    """Plans and their stock, every VPS, and the systems that can be installed: OVH tells those of a VPS only, so without one there are
    none. A plan is sold by the month; its price an hour is a 730th of that.
    """
    vps = Vps(client, tags)
    sizes = [
        _size(plan, technical, monthly, await stock_of(client, plan, subsidiary=subsidiary))
        for plan, technical, monthly in plans_of(await catalogue_of(client, subsidiary=subsidiary))
    ]
    places = sorted({place for size in sizes for place in size.regions})
    names: list[str] = await client.get("/vps")
    labels: dict[str, dict[str, str]] = {each["name"]: each.get("tags") or {} for each in await vps.tagged()}
    return Survey(
        account=_account(await client.get("/me")),
        regions=[CloudRegion(id=place, name=place, available=True) for place in places],
        sizes=sizes,
        images=[] if not names else await _images(client, names[0]),
        servers=[await _server(client, vps, name, labels.get(name, {})) for name in names],
    )


def _account(me: Mapping[str, Any]) -> CloudAccountFacts:
    return CloudAccountFacts(name=me["nichandle"], status=None, server_limit=None)


def _size(plan: str, technical: Mapping[str, Any], monthly: Decimal, places: list[str]) -> CloudSize:
    storage: dict[str, Any] = technical.get("storage") or {}
    disks: list[dict[str, Any]] = storage.get("disks") or []
    return CloudSize(
        id=plan,
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


async def _server(client: OvhClient, vps: Vps, name: str, labels: Mapping[str, str]) -> CloudServer:
    found = await client.get(f"/vps/{name}")
    service = await client.get(f"/vps/{name}/serviceInfos")
    return CloudServer(
        ref=name,
        name=found["displayName"] or name,
        status=found["state"],
        region=found["zone"],
        size=found["model"]["name"],
        host=await vps.address(name),
        created_at=datetime.fromisoformat(service["creation"]).replace(tzinfo=UTC),
        labels=[f"{key}={value}" for key, value in labels.items()],
    )

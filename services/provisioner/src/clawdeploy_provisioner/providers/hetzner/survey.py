"""A Hetzner project as Hetzner sees it."""

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
from clawdeploy_provisioner.providers.hetzner.client import HetznerClient


async def survey(client: HetznerClient) -> Survey:
    """Five lists; Hetzner has no call that tells of the project itself."""
    return Survey(
        account=CloudAccountFacts(name=None, status=None, server_limit=None),
        regions=[_region(place) for place in await client.pages("/locations")],
        sizes=[_size(kind) for kind in await client.pages("/server_types") if not kind.get("deprecation")],
        images=[_image(image) for image in await client.pages("/images", type="system", architecture="x86")],
        servers=[_server(server) for server in await client.pages("/servers")],
    )


def _region(place: dict[str, Any]) -> CloudRegion:
    return CloudRegion(id=place["name"], name=f"{place['city']}, {place['country']}", available=True)


def _size(kind: dict[str, Any]) -> CloudSize:
    places = kind.get("locations")
    prices: list[dict[str, Any]] = kind["prices"]
    return CloudSize(
        id=kind["name"],
        vcpus=kind["cores"],
        memory_mb=int(kind["memory"] * 1024),
        disk_gb=kind["disk"],
        hourly=min(Decimal(price["price_hourly"]["net"]) for price in prices),
        monthly=min(Decimal(price["price_monthly"]["net"]) for price in prices),
        regions=[p["location"] for p in prices] if places is None else [p["name"] for p in places if p["available"]],
    )


def _image(image: dict[str, Any]) -> CloudImage:
    return CloudImage(id=image["name"], name=image["description"])


def _server(server: dict[str, Any]) -> CloudServer:
    ipv4 = server["public_net"]["ipv4"]
    return CloudServer(
        ref=str(server["id"]),
        name=server["name"],
        status=server["status"],
        region=server["location"]["name"],
        size=server["server_type"]["name"],
        host=None if ipv4 is None else ipv4["ip"],
        created_at=server["created"],
        labels=[f"{key}={value}" for key, value in server["labels"].items()],
    )

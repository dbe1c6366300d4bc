"""A DigitalOcean account as DigitalOcean sees it."""

from typing import Any

from clawdeploy_provisioner.providers.cloud.survey import (
    CloudAccountFacts,
    CloudImage,
    CloudRegion,
    CloudServer,
    CloudSize,
    Survey,
)
from clawdeploy_provisioner.providers.digitalocean.client import DigitalOceanClient


async def survey(client: DigitalOceanClient) -> Survey:
    """Four lists and the account."""
    account: dict[str, Any] = (await client.get("/account"))["account"]
    images = await client.pages("/images", key="images", type="distribution")
    return Survey(
        account=CloudAccountFacts(
            name=account["email"], status=account["status"], server_limit=account["droplet_limit"]
        ),
        regions=[_region(region) for region in await client.pages("/regions", key="regions")],
        sizes=[_size(size) for size in await client.pages("/sizes", key="sizes") if size["available"]],
        images=[_image(image) for image in images if image["slug"]],
        servers=[_server(droplet) for droplet in await client.pages("/droplets", key="droplets")],
    )


def _region(region: dict[str, Any]) -> CloudRegion:
    return CloudRegion(id=region["slug"], name=region["name"], available=region["available"])


def _size(size: dict[str, Any]) -> CloudSize:
    return CloudSize(
        id=size["slug"],
        vcpus=size["vcpus"],
        memory_mb=size["memory"],
        disk_gb=size["disk"],
        hourly=size["price_hourly"],
        monthly=size["price_monthly"],
        regions=size["regions"],
    )


def _image(image: dict[str, Any]) -> CloudImage:
    return CloudImage(id=image["slug"], name=f"{image['distribution']} {image['name']}")


def _server(droplet: dict[str, Any]) -> CloudServer:
    public = (net["ip_address"] for net in droplet["networks"]["v4"] if net["type"] == "public")
    return CloudServer(
        ref=str(droplet["id"]),
        name=droplet["name"],
        status=droplet["status"],
        region=droplet["region"]["slug"],
        size=droplet["size_slug"],
        host=next(public, None),
        created_at=droplet["created_at"],
        labels=droplet["tags"],
    )

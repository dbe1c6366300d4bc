"""Droplets: what is kept of each, and what the API gives of it."""

from datetime import datetime, timedelta
from typing import Any

from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.rentals import Rental
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.digitalocean import catalogue
from clawdeploy_emulators.digitalocean.errors import not_found, unprocessable

KIND = "droplet"


def known_droplet(work: Work, droplet_id: int) -> Document:
    """The Droplet with this number. Raises the refusal for one that is not there."""
    droplet = work.documents.find(KIND, droplet_id)
    if droplet is None:
        raise not_found()
    return droplet


def free_droplet(work: Work, droplet_id: int) -> Document:
    """A Droplet that no action holds."""
    droplet = known_droplet(work, droplet_id)
    if work.actions.busy(KIND, droplet_id):
        raise unprocessable("Droplet already has a pending event.")
    return droplet


def visible_droplets(work: Work, *, after_seconds: float) -> list[Document]:
    """The Droplets that a listing knows of already."""
    youngest = work.now - timedelta(seconds=after_seconds)
    return [
        droplet for droplet in work.documents.all(KIND) if datetime.fromisoformat(droplet["created_at"]) <= youngest
    ]


def destroy(work: Work, droplet: Document) -> None:
    """Begin to destroy a Droplet; the API shows no action of it. An action that never ends gives way."""
    if work.actions.busy_for_now(KIND, droplet["id"]):
        raise unprocessable("Droplet already has a pending event.")
    work.begin("destroy", of=(KIND, droplet["id"]), before=droplet["status"], region=droplet["region"])


def memory_mb(droplet: Document) -> int:
    """How much memory its size has."""
    size = catalogue.size_of(droplet["size"])
    assert size is not None  # noqa: S101  the route checked it
    return size.memory


def rent(work: Work, droplet: Document) -> None:
    """Begin the bill's line of a Droplet."""
    size = catalogue.size_of(droplet["size"])
    assert size is not None  # noqa: S101  the route checked it
    work.rentals.begin(
        Rental(
            server_id=str(droplet["id"]),
            name=droplet["name"],
            item=size.slug,
            place=droplet["region"],
            rate=size.rate,
            since=work.now,
            until=None,
        )
    )


def published_droplet(droplet: Document, work: Work) -> dict[str, Any]:
    """A Droplet as the API gives it."""
    size, image = catalogue.size_of(droplet["size"]), catalogue.image_of(droplet["image"])
    assert size is not None  # noqa: S101  only known ones are kept
    assert image is not None  # noqa: S101  only known ones are kept
    return {
        "id": droplet["id"],
        "name": droplet["name"],
        "memory": size.memory,
        "vcpus": size.vcpus,
        "disk": size.disk,
        "disk_info": [{"type": "local", "size": {"amount": size.disk, "unit": "gib"}}],
        "locked": work.actions.busy(KIND, droplet["id"]),
        "status": droplet["status"],
        "kernel": None,
        "created_at": droplet["created_at"],
        "features": droplet["features"],
        "backup_ids": [],
        "next_backup_window": None,
        "snapshot_ids": [],
        "image": catalogue.published_image(image),
        "volume_ids": [],
        "size": catalogue.published_size(size, work),
        "size_slug": size.slug,
        "networks": _networks(droplet),
        "region": catalogue.published_region(droplet["region"], work),
        "tags": droplet["tags"],
        "vpc_uuid": droplet["vpc_uuid"],
    }


def _networks(droplet: Document) -> dict[str, Any]:
    address = droplet["ipv4"]
    if address is None:
        return {"v4": [], "v6": []}
    parts = address.split(".")
    private = {"ip_address": f"10.{parts[1]}.{parts[2]}.{parts[3]}", "netmask": "255.255.0.0", "type": "private"}
    public = {"ip_address": address, "netmask": "255.255.240.0", "type": "public"}
    v6 = {"ip_address": f"2001:db8::{parts[2]}:{parts[3]}", "netmask": 64, "gateway": "2001:db8::1", "type": "public"}
    gateway = {"gateway": f"{parts[0]}.{parts[1]}.0.1"}
    private_gateway = {"gateway": f"10.{parts[1]}.0.1"}
    return {
        "v4": [{**private, **private_gateway}, {**public, **gateway}],
        "v6": [v6] if "ipv6" in droplet["features"] else [],
    }

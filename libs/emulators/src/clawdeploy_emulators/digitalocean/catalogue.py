"""What can be ordered and where. Shapes as published; prices as DigitalOcean's public list had them in 2026."""

from dataclasses import dataclass
from typing import Any

from clawdeploy_emulators.cloud.rentals import Rate
from clawdeploy_emulators.cloud.work import Work

Json = dict[str, Any]
MICROS = 1_000_000
FEATURES = ["backups", "ipv6", "metadata", "install_agent", "storage", "image_transfer"]
REGIONS = {
    "nyc3": "New York 3",
    "sfo3": "San Francisco 3",
    "ams3": "Amsterdam 3",
    "fra1": "Frankfurt 1",
    "lon1": "London 1",
    "sgp1": "Singapore 1",
}


@dataclass(frozen=True, kw_only=True)
class Size:
    """One size of Droplet; prices in micro-dollars."""

    slug: str
    memory: int
    vcpus: int
    disk: int
    transfer: float
    rate: Rate
    description: str = "Basic"


@dataclass(frozen=True, kw_only=True)
class Image:
    """One public image."""

    id: int
    slug: str
    distribution: str
    name: str


def _size(slug: str, memory: int, vcpus: int, disk: int, transfer: float, monthly: int, hourly: int) -> Size:  # noqa: PLR0917  a row of a table
    rate = Rate(hourly_micros=hourly, monthly_micros=monthly * MICROS)
    return Size(slug=slug, memory=memory, vcpus=vcpus, disk=disk, transfer=transfer, rate=rate)


SIZES = (
    _size("s-1vcpu-1gb", 1024, 1, 25, 1.0, 6, 8_930),
    _size("s-1vcpu-2gb", 2048, 1, 50, 2.0, 12, 17_860),
    _size("s-2vcpu-2gb", 2048, 2, 60, 3.0, 18, 26_790),
    _size("s-2vcpu-4gb", 4096, 2, 80, 4.0, 24, 35_710),
    _size("s-4vcpu-8gb", 8192, 4, 160, 5.0, 48, 71_430),
    _size("s-8vcpu-16gb", 16384, 8, 320, 6.0, 96, 142_860),
)
IMAGES = (
    Image(id=157058885, slug="debian-12-x64", distribution="Debian", name="12 x64"),
    Image(id=195932981, slug="debian-13-x64", distribution="Debian", name="13 x64"),
    Image(id=155133621, slug="ubuntu-24-04-x64", distribution="Ubuntu", name="24.04 (LTS) x64"),
    Image(id=129211873, slug="ubuntu-22-04-x64", distribution="Ubuntu", name="22.04 (LTS) x64"),
)


def size_of(slug: str) -> Size | None:
    """The size with this slug."""
    return next((size for size in SIZES if size.slug == slug), None)


def image_of(id_or_slug: object) -> Image | None:
    """The image with this number or slug."""
    return next((image for image in IMAGES if str(id_or_slug) in {str(image.id), image.slug}), None)


def published_region(slug: str, work: Work) -> Json:
    """A region as the API gives it, without what is sold out at present."""
    sizes = [size.slug for size in SIZES if not work.sold_out(plan=size.slug, place=slug)]
    return {"name": REGIONS[slug], "slug": slug, "features": FEATURES, "available": bool(sizes), "sizes": sizes}


def published_size(size: Size, work: Work) -> Json:
    """A size as the API gives it; prices are JSON numbers in dollars."""
    regions = [slug for slug in REGIONS if not work.sold_out(plan=size.slug, place=slug)]
    return {
        "slug": size.slug,
        "memory": size.memory,
        "vcpus": size.vcpus,
        "disk": size.disk,
        "transfer": size.transfer,
        "price_monthly": size.rate.monthly_micros / MICROS,
        "price_hourly": size.rate.hourly_micros / MICROS,
        "regions": regions,
        "available": bool(regions),
        "description": size.description,
        "disk_info": [{"type": "local", "size": {"amount": size.disk, "unit": "gib"}}],
    }


def published_image(image: Image) -> Json:
    """An image as the API gives it."""
    return {
        "id": image.id,
        "name": image.name,
        "type": "base",
        "distribution": image.distribution,
        "slug": image.slug,
        "public": True,
        "regions": list(REGIONS),
        "created_at": "2025-08-13T09:00:00Z",
        "min_disk_size": 10,
        "size_gigabytes": 2.3,
        "description": f"{image.distribution} {image.name}",
        "tags": [],
        "status": "available",
    }

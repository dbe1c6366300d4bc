"""What can be ordered and where. Shapes as published; prices as seen by third parties in September 2026, not by us."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from clawdeploy_emulators.cloud.rentals import Rate
from clawdeploy_emulators.cloud.work import Work

MICROS = 1_000_000
VAT = Decimal("19.00")
EUROPE = ("fsn1", "nbg1", "hel1")
OVERSEAS = ("ash", "hil", "sin")
TRAFFIC_BYTES = 20 * 1024**4
IPV4 = Rate(hourly_micros=800, monthly_micros=500_000)
FREE = Rate(hourly_micros=0, monthly_micros=0)

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ServerType:
    """One size of server; net prices in micro-euros."""

    id: int
    name: str
    description: str
    cores: int
    memory: int
    disk: int
    rate: Rate
    places: tuple[str, ...] = EUROPE
    cpu: str = "shared"
    architecture: str = "x86"
    category: str = "cost_optimized"


@dataclass(frozen=True, kw_only=True)
class Image:
    """One system image."""

    id: int
    name: str
    description: str
    flavor: str
    version: str
    architecture: str = "x86"


def _rate(hourly: int, monthly: int) -> Rate:
    return Rate(hourly_micros=hourly, monthly_micros=monthly)


SERVER_TYPES = (
    ServerType(id=114, name="cx23", description="CX23", cores=2, memory=4, disk=40, rate=_rate(8_800, 5_490_000)),
    ServerType(id=115, name="cx33", description="CX33", cores=4, memory=8, disk=80, rate=_rate(13_600, 8_490_000)),
    ServerType(id=116, name="cx43", description="CX43", cores=8, memory=16, disk=160, rate=_rate(25_600, 15_990_000)),
    ServerType(
        id=45,
        name="cax11",
        description="CAX11",
        cores=2,
        memory=4,
        disk=40,
        rate=_rate(9_600, 5_990_000),
        architecture="arm",
    ),
    ServerType(
        id=108,
        name="cpx22",
        description="CPX22",
        cores=2,
        memory=4,
        disk=80,
        rate=_rate(31_200, 19_490_000),
        category="regular_purpose",
    ),
    ServerType(
        id=22,
        name="cpx11",
        description="CPX 11",
        cores=2,
        memory=2,
        disk=40,
        rate=_rate(11_200, 6_990_000),
        places=OVERSEAS,
        category="regular_purpose",
    ),
    ServerType(
        id=23,
        name="cpx21",
        description="CPX 21",
        cores=3,
        memory=4,
        disk=80,
        rate=_rate(22_400, 13_990_000),
        places=OVERSEAS,
        category="regular_purpose",
    ),
    ServerType(
        id=96,
        name="ccx13",
        description="CCX13 Dedicated CPU",
        cores=2,
        memory=8,
        disk=80,
        rate=_rate(26_400, 16_490_000),
        places=EUROPE + OVERSEAS,
        cpu="dedicated",
        category="general_purpose",
    ),
)
IMAGES = (
    Image(id=114690387, name="debian-12", description="Debian 12", flavor="debian", version="12"),
    Image(id=310557660, name="debian-13", description="Debian 13", flavor="debian", version="13"),
    Image(id=161547269, name="ubuntu-24.04", description="Ubuntu 24.04", flavor="ubuntu", version="24.04"),
    Image(id=67794396, name="ubuntu-22.04", description="Ubuntu 22.04", flavor="ubuntu", version="22.04"),
    Image(
        id=161547270,
        name="ubuntu-24.04",
        description="Ubuntu 24.04",
        flavor="ubuntu",
        version="24.04",
        architecture="arm",
    ),
    Image(id=114690389, name="debian-12", description="Debian 12", flavor="debian", version="12", architecture="arm"),
)
LOCATIONS: tuple[Json, ...] = tuple(
    {
        "id": number,
        "name": name,
        "description": description,
        "country": country,
        "city": city,
        "latitude": latitude,
        "longitude": longitude,
        "network_zone": zone,
    }
    for number, name, description, country, city, latitude, longitude, zone in (
        (1, "fsn1", "Falkenstein DC Park 1", "DE", "Falkenstein", 50.47612, 12.370071, "eu-central"),
        (2, "nbg1", "Nuremberg DC Park 1", "DE", "Nuremberg", 49.452102, 11.076665, "eu-central"),
        (3, "hel1", "Helsinki DC Park 1", "FI", "Helsinki", 60.169855, 24.938379, "eu-central"),
        (4, "ash", "Ashburn, VA", "US", "Ashburn, VA", 39.045821, -77.487073, "us-east"),
        (5, "hil", "Hillsboro, OR", "US", "Hillsboro, OR", 45.54222, -122.951924, "us-west"),
        (6, "sin", "Singapore", "SG", "Singapore", 1.283333, 103.833333, "ap-southeast"),
    )
)
LOCATION = {location["name"]: location for location in LOCATIONS}


def server_type(id_or_name: object) -> ServerType | None:
    """The server type with this number or name."""
    return next((item for item in SERVER_TYPES if str(id_or_name) in {str(item.id), item.name}), None)


def image(id_or_name: object, *, architecture: str) -> Image | None:
    """The image with this number, or with this name for an architecture."""
    for item in IMAGES:
        if str(id_or_name) == str(item.id) or (id_or_name == item.name and item.architecture == architecture):
            return item
    return None


def price(micros: int) -> Json:
    """An amount the way the API prints it: net and gross, decimal strings."""
    net = Decimal(micros) / MICROS
    return {"net": f"{net:.10f}", "gross": f"{net * (1 + VAT / 100):.10f}"}


def prices(rate: Rate, places: tuple[str, ...]) -> list[Json]:
    """A rate at each of these places."""
    return [
        {"location": place, "price_hourly": price(rate.hourly_micros), "price_monthly": price(rate.monthly_micros)}
        for place in places
    ]


def server_prices(item: ServerType) -> list[Json]:
    """What a server type costs at each place, with its traffic."""
    traffic = {"included_traffic": TRAFFIC_BYTES, "price_per_tb_traffic": price(1_000_000)}
    return [{**line, **traffic} for line in prices(item.rate, item.places)]


def published_type(item: ServerType, work: Work) -> Json:
    """A server type as the API gives it, with what is sold out at present."""
    return {
        "id": item.id,
        "name": item.name,
        "description": item.description,
        "cores": item.cores,
        "memory": float(item.memory),
        "disk": item.disk,
        "deprecated": False,
        "deprecation": None,
        "prices": server_prices(item),
        "storage_type": "local",
        "cpu_type": item.cpu,
        "category": item.category,
        "architecture": item.architecture,
        "locations": [_place(item, name, work) for name in item.places],
    }


def published_image(item: Image) -> Json:
    """An image as the API gives it."""
    return {
        "id": item.id,
        "type": "system",
        "status": "available",
        "name": item.name,
        "description": item.description,
        "image_size": None,
        "disk_size": 5,
        "created": "2025-08-13T09:00:00+00:00",
        "created_from": None,
        "bound_to": None,
        "os_flavor": item.flavor,
        "os_version": item.version,
        "rapid_deploy": True,
        "protection": {"delete": False},
        "deprecated": None,
        "deleted": None,
        "labels": {},
        "architecture": item.architecture,
    }


def _place(item: ServerType, name: str, work: Work) -> Json:
    available = not work.sold_out(plan=item.name, place=name)
    place_id = LOCATION[name]["id"]
    return {"id": place_id, "name": name, "deprecation": None, "recommended": available, "available": available}

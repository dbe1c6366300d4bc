"""/locations, /server_types, /images, /isos, /volumes, /pricing; and /datacenters, which is gone."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from clawdeploy_emulators.cloud.context import InWork
from clawdeploy_emulators.cloud.refusals import Refusal
from clawdeploy_emulators.cloud.rentals import Rate
from clawdeploy_emulators.hetzner import catalogue
from clawdeploy_emulators.hetzner.errors import not_found
from clawdeploy_emulators.hetzner.listing import Asked

router = APIRouter()
Json = dict[str, Any]
GONE = "https://docs.hetzner.cloud/changelog#2025-12-16-phasing-out-datacenters"


@router.get("/locations")
async def list_locations(asked: Asked, work: InWork) -> Json:
    """Where servers can stand."""
    return asked.answer("locations", work.seen(list(catalogue.LOCATIONS)))


@router.get("/locations/{location_id}")
async def get_location(location_id: int) -> Json:
    """One location."""
    for location in catalogue.LOCATIONS:
        if location["id"] == location_id:
            return {"location": location}
    raise not_found("location", location_id)


@router.get("/server_types")
async def list_server_types(asked: Asked, work: InWork) -> Json:
    """What can be ordered, where, and at which price."""
    published = [catalogue.published_type(item, work) for item in catalogue.SERVER_TYPES]
    return asked.answer("server_types", work.seen(published))


@router.get("/server_types/{type_id}")
async def get_server_type(type_id: int, work: InWork) -> Json:
    """One server type."""
    item = catalogue.server_type(type_id)
    if item is None:
        raise not_found("server_type", type_id)
    return {"server_type": catalogue.published_type(item, work)}


@router.get("/images")
async def list_images(
    asked: Asked,
    work: InWork,
    types: Annotated[list[str] | None, Query(alias="type")] = None,
    architecture: Annotated[list[str] | None, Query()] = None,
) -> Json:
    """The systems a server can be created with."""
    wanted = [
        catalogue.published_image(item)
        for item in catalogue.IMAGES
        if (not types or "system" in types) and (not architecture or item.architecture in architecture)
    ]
    return asked.answer("images", work.seen(wanted))


@router.get("/images/{image_id}")
async def get_image(image_id: int) -> Json:
    """One image."""
    for item in catalogue.IMAGES:
        if item.id == image_id:
            return {"image": catalogue.published_image(item)}
    raise not_found("image", image_id)


@router.get("/isos")
async def list_isos(asked: Asked) -> Json:
    """None: nothing is installed by hand here."""
    return asked.answer("isos", [])


@router.get("/volumes")
async def list_volumes(asked: Asked) -> Json:
    """None: this stand-in makes no volumes."""
    return asked.answer("volumes", [])


@router.get("/pricing")
async def get_pricing() -> Json:
    """The price list; net, and gross with German VAT."""
    places = tuple(location["name"] for location in catalogue.LOCATIONS)
    ips = [{"type": kind, "prices": catalogue.prices(rate, places)} for kind, rate in _ip_rates()]
    floating = [{"location": place, "price_monthly": catalogue.price(3_000_000)} for place in places]
    return {
        "pricing": {
            "currency": "EUR",
            "vat_rate": str(catalogue.VAT),
            "primary_ips": ips,
            "floating_ips": [{"type": "ipv4", "prices": floating}],
            "floating_ip": {"price_monthly": catalogue.price(3_000_000)},
            "image": {"price_per_gb_month": catalogue.price(11_000)},
            "volume": {"price_per_gb_month": catalogue.price(44_000)},
            "server_backup": {"percentage": "20.00"},
            "load_balancer_types": [],
            "server_types": [
                {"id": item.id, "name": item.name, "prices": catalogue.server_prices(item)}
                for item in catalogue.SERVER_TYPES
            ],
        }
    }


@router.get("/datacenters")
@router.get("/datacenters/{datacenter_id}")
async def datacenters() -> Json:
    """Gone since 1 October 2026."""
    details = {"announcement": GONE}
    raise Refusal(410, "deprecated_api_endpoint", "API functionality was removed", details=details)


def _ip_rates() -> list[tuple[str, Rate]]:
    return [("ipv4", catalogue.IPV4), ("ipv6", catalogue.FREE)]

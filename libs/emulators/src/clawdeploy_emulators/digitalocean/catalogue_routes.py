"""/regions, /sizes, /images and /account."""

import uuid
from typing import Any

from fastapi import APIRouter

from clawdeploy_emulators.cloud.context import InWork
from clawdeploy_emulators.digitalocean import catalogue
from clawdeploy_emulators.digitalocean.context import InSettings
from clawdeploy_emulators.digitalocean.errors import not_found
from clawdeploy_emulators.digitalocean.listing import Asked

router = APIRouter()
Json = dict[str, Any]


@router.get("/account")
async def get_account(settings: InSettings) -> Json:
    """Whose account it is, and how much it may have."""
    return {
        "account": {
            "droplet_limit": settings.server_limit,
            "floating_ip_limit": 3,
            "email": "operator@example.com",
            "name": "Operator",
            "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, "account")),
            "email_verified": True,
            "status": "active",
            "status_message": "",
            "team": {"uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, "team")), "name": "My Team"},
        }
    }


@router.get("/regions")
async def list_regions(asked: Asked, work: InWork) -> Json:
    """Where Droplets can stand."""
    return asked.answer("regions", work.seen([catalogue.published_region(slug, work) for slug in catalogue.REGIONS]))


@router.get("/sizes")
async def list_sizes(asked: Asked, work: InWork) -> Json:
    """What can be ordered, where, and at which price."""
    return asked.answer("sizes", work.seen([catalogue.published_size(size, work) for size in catalogue.SIZES]))


@router.get("/images")
async def list_images(asked: Asked, work: InWork, private: bool = False) -> Json:
    """The systems a Droplet can be created with; there are no private ones."""
    images = [] if private else [catalogue.published_image(image) for image in catalogue.IMAGES]
    return asked.answer("images", work.seen(images))


@router.get("/images/{id_or_slug}")
async def get_image(id_or_slug: str) -> Json:
    """One image."""
    image = catalogue.image_of(id_or_slug)
    if image is None:
        raise not_found()
    return {"image": catalogue.published_image(image)}

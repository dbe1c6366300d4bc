"""The DigitalOcean stand-in, put together."""

from fastapi import FastAPI

from clawdeploy_emulators.cloud.app import create_cloud_app, guarded
from clawdeploy_emulators.digitalocean import (
    catalogue_routes,
    droplet_action_routes,
    droplet_routes,
    errors,
    firewall_routes,
    key_routes,
    tag_routes,
)
from clawdeploy_emulators.digitalocean.context import account
from clawdeploy_emulators.digitalocean.effects import EFFECTS, POWER
from clawdeploy_emulators.digitalocean.limits import Windows
from clawdeploy_emulators.digitalocean.settings import BASE_PATH, DigitalOceanSettings

MODULES = (catalogue_routes, droplet_action_routes, droplet_routes, firewall_routes, key_routes, tag_routes)


def create_digitalocean(settings: DigitalOceanSettings) -> FastAPI:
    """The stand-in as an application: mount it in process (httpx.ASGITransport) or serve it."""
    windows = Windows(
        per_hour=settings.requests_per_hour,
        per_minute=settings.requests_per_minute,
        key_listings=settings.key_listings_per_minute,
    )
    return create_cloud_app(
        settings,
        base_path=BASE_PATH,
        routers=[guarded((module.router for module in MODULES), account)],
        effects=EFFECTS,
        resume=POWER.resume,
        words=errors.WORDS,
        limiter=windows,
    )

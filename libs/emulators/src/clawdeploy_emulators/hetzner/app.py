"""The Hetzner stand-in, put together."""

from fastapi import FastAPI

from clawdeploy_emulators.cloud.app import create_cloud_app, guarded
from clawdeploy_emulators.hetzner import (
    action_routes,
    catalogue_routes,
    errors,
    firewall_routes,
    primary_ip_routes,
    server_action_routes,
    server_routes,
    ssh_key_routes,
)
from clawdeploy_emulators.hetzner.context import project
from clawdeploy_emulators.hetzner.effects import EFFECTS, POWER
from clawdeploy_emulators.hetzner.limits import Bucket
from clawdeploy_emulators.hetzner.settings import BASE_PATH, HetznerSettings

MODULES = (
    action_routes,
    catalogue_routes,
    firewall_routes,
    primary_ip_routes,
    server_action_routes,
    server_routes,
    ssh_key_routes,
)


def create_hetzner(settings: HetznerSettings) -> FastAPI:
    """The stand-in as an application: mount it in process (httpx.ASGITransport) or serve it."""
    bucket = Bucket(size=settings.requests_per_hour)
    return create_cloud_app(
        settings,
        base_path=BASE_PATH,
        routers=[guarded((module.router for module in MODULES), project)],
        effects=EFFECTS,
        resume=POWER.resume,
        words=errors.WORDS,
        limiter=bucket,
    )

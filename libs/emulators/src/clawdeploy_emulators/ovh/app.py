"""The OVH stand-in, put together."""

from fastapi import Depends, FastAPI

from clawdeploy_emulators.cloud.app import create_cloud_app, guarded
from clawdeploy_emulators.cloud.rate_limit import NoLimiter
from clawdeploy_emulators.ovh import account_routes, cart_routes, open_routes, order_routes, tag_routes, vps_routes
from clawdeploy_emulators.ovh.context import consumer
from clawdeploy_emulators.ovh.effects import EFFECTS, POWER
from clawdeploy_emulators.ovh.errors import WORDS
from clawdeploy_emulators.ovh.settings import BASE_PATH, OvhSettings

SIGNED = (cart_routes, order_routes, account_routes, vps_routes)


def create_ovh(settings: OvhSettings) -> FastAPI:
    """The stand-in as an application: mount it in process (httpx.ASGITransport) or serve it."""
    app = create_cloud_app(
        settings,
        base_path=BASE_PATH,
        routers=[open_routes.router, guarded((module.router for module in SIGNED), consumer)],
        effects=EFFECTS,
        resume=POWER.resume,
        words=WORDS,
        limiter=NoLimiter(),
    )
    app.include_router(tag_routes.router, prefix="/v2", dependencies=[Depends(consumer)])
    return app

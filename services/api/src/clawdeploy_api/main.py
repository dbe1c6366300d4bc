"""The gateway, put together."""

import asyncio

from fastapi import APIRouter, Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute

import clawdeploy_api
from clawdeploy_api import idempotency
from clawdeploy_api.api_keys import ApiKeys
from clawdeploy_api.bootstrap import Bootstrap
from clawdeploy_api.endpoints import (
    accounts,
    actions,
    admin,
    agent,
    catalogue,
    clouds,
    cost,
    events,
    fleet,
    front,
    instances,
    internal,
    on_server,
    operations,
    servers,
)
from clawdeploy_api.engines import Engines
from clawdeploy_api.forwarding import Forwarder
from clawdeploy_api.gateway import Gateway
from clawdeploy_api.hardening import AllowHeader, BodyLimits, SecurityHeaders
from clawdeploy_api.known_query import only_known_query
from clawdeploy_api.models import metadata
from clawdeploy_api.observations import Observations
from clawdeploy_api.openapi import describe
from clawdeploy_api.prices import Prices
from clawdeploy_api.projectors import projectors
from clawdeploy_api.rate_limits import RateLimits
from clawdeploy_api.reactors import reactors
from clawdeploy_api.resealed_secrets import FETCH_JOB, fetch_job
from clawdeploy_api.settings import ApiSettings
from clawdeploy_api.stream import EventStream
from clawdeploy_common.http import AsyncBaseTransport
from clawdeploy_common.service import Service

_HOUR_S = 3600.0
_EXPOSED = [
    "Location",
    "Retry-After",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Idempotency-Replayed",
]


def create_app(settings: ApiSettings | None = None, *, transport: AsyncBaseTransport | None = None) -> FastAPI:
    """The gateway's HTTP side; ``transport`` reaches the other services some other way than by network."""
    return build(settings or ApiSettings(), transport=transport)[1]  # pyright: ignore[reportCallIssue] - read from the environment


def build(settings: ApiSettings, *, transport: AsyncBaseTransport | None = None) -> tuple[Service, FastAPI]:
    """The service and its app."""
    service = Service(
        settings,
        name="api",
        package_file=clawdeploy_api.__file__,
        metadata=metadata,
        projectors=projectors,
        reactors=reactors,
        consumes=("api", "provisioner", "monitor", "billing"),
    )
    gateway = _gateway(service, settings, transport)
    service.add_jobs({FETCH_JOB: fetch_job(service.database, gateway.forwarder)})
    service.add_loop("bootstrap", gateway.bootstrap.run)
    service.add_loop("forgetting", lambda: _forget(gateway))
    service.on_close(gateway.forwarder.close)
    return service, _app(service, gateway)


def _gateway(service: Service, settings: ApiSettings, transport: AsyncBaseTransport | None) -> Gateway:
    database = service.database
    keys = ApiKeys(database)
    forwarder = Forwarder(settings, service.tokens, transport=transport)
    return Gateway(
        settings=settings,
        service=service,
        keys=keys,
        bootstrap=Bootstrap(
            database, keys, key=settings.bootstrap_api_key, max_instances=settings.bootstrap_max_instances
        ),
        limits=RateLimits(
            database,
            mutations_per_minute=settings.mutations_per_minute,
            deploys_per_minute=settings.deploys_per_minute,
        ),
        forwarder=forwarder,
        observations=Observations(forwarder),
        prices=Prices(database),
        engines=Engines(forwarder),
        stream=EventStream(
            database,
            service.stopping,
            poll_s=settings.stream_poll_seconds,
            keep_alive_s=settings.stream_keep_alive_seconds,
            per_account=settings.streams_per_account,
        ),
    )


def _app(service: Service, gateway: Gateway) -> FastAPI:
    app = service.app(
        title="ClawDeploy",
        routers=[front.router, _versioned(), _seeds_paths(), internal.router, internal.keys],
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.gateway = gateway
    app.add_middleware(BodyLimits)
    app.add_middleware(AllowHeader)
    origins = gateway.settings.cors_origins
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"],
            expose_headers=_EXPOSED,
        )
    app.add_middleware(SecurityHeaders, https=gateway.settings.public_url.startswith("https://"))
    app.openapi = lambda: describe(app)  # FastAPI's documented way to extend the document
    return app


def _operation_id(route: APIRoute) -> str:
    """Functions are named for what they do: so are operations."""
    return route.name


def _versioned() -> APIRouter:
    router = APIRouter(prefix="/v1", dependencies=[Depends(only_known_query)])
    for part in (
        instances,
        actions,
        agent,
        operations,
        events,
        cost,
        catalogue,
        accounts,
        admin,
        fleet,
        servers,
        clouds,
        on_server,
    ):
        router.include_router(part.router)
    router.include_router(operations.deployments)
    return router


def _seeds_paths() -> APIRouter:
    """``/api/instances…``: the same routes under another name, left out of the document."""
    router = APIRouter(prefix="/api", include_in_schema=False, dependencies=[Depends(only_known_query)])
    for part in (instances, actions, agent):
        router.include_router(part.router)
    return router


async def _forget(gateway: Gateway) -> None:
    """Delete what has served its time, once an hour."""
    while True:
        await idempotency.forget_old(gateway.database)
        await gateway.limits.forget()
        await asyncio.sleep(_HOUR_S)

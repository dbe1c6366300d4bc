"""A cloud's stand-in, put together from what it shares with the others and what is its own."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress

from fastapi import APIRouter, Depends, FastAPI

from clawdeploy_emulators.cloud import control_routes
from clawdeploy_emulators.cloud.cloud import Cloud, Effect
from clawdeploy_emulators.cloud.rate_limit import Limiter, RateLimited
from clawdeploy_emulators.cloud.refusals import Words, install_refusals
from clawdeploy_emulators.cloud.schema import SCHEMA
from clawdeploy_emulators.cloud.settings import CloudSettings
from clawdeploy_emulators.faults import FaultKind, FaultSwitch, FaultyFastAPI
from clawdeploy_emulators.store import Store


def guarded(routers: Iterable[APIRouter], account: Callable[..., object]) -> APIRouter:
    """These routes behind the dependency that knows whose credentials came."""
    api = APIRouter(dependencies=[Depends(account)])
    for router in routers:
        api.include_router(router)
    return api


def create_cloud_app(
    settings: CloudSettings,
    *,
    base_path: str,
    routers: Iterable[APIRouter],
    effects: Mapping[str, Effect],
    resume: Callable[[Cloud], None],
    words: Words,
    limiter: Limiter,
) -> FaultyFastAPI:
    """The stand-in as an application: mount it in process (httpx.ASGITransport) or serve it.

    The state file is opened here, so it works without lifespan events; with them machines come up by themselves, also
    those that were up when the stand-in ended, and the file is closed at the end.
    """
    store = Store(settings.state_file, schema=SCHEMA)
    faults = FaultSwitch(base_path=base_path, kinds=frozenset(FaultKind))
    cloud = Cloud(settings, store=store, faults=faults, effects=effects)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        resume(cloud)
        ticking = asyncio.create_task(cloud.tick())
        yield
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking
        await cloud.machines.close()
        store.close()

    app = FaultyFastAPI(
        faults=faults,
        error_body=lambda status, _: words.body(status),
        limit_headers=limiter.refusal_headers,
        openapi_url=None,
        lifespan=lifespan,
    )
    app.state.cloud = cloud
    for router in routers:
        app.include_router(router, prefix=base_path)
    app.include_router(control_routes.router)
    app.include_router(control_routes.health_router)
    app.add_middleware(RateLimited, base_path=base_path, limiter=limiter, clock=settings.clock, refusal=words.body(429))
    install_refusals(app, words=words)
    return app

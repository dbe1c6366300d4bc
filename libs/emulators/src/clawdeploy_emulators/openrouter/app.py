"""The OpenRouter stand-in, put together."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from clawdeploy_emulators.faults import FaultSwitch, FaultyFastAPI
from clawdeploy_emulators.openrouter import account_routes, chat_routes, control_routes, key_routes
from clawdeploy_emulators.openrouter.context import Context
from clawdeploy_emulators.openrouter.errors import error_body, install_error_handlers, limit_headers
from clawdeploy_emulators.openrouter.keys import Keys
from clawdeploy_emulators.openrouter.ledger import Ledger
from clawdeploy_emulators.openrouter.schema import SCHEMA
from clawdeploy_emulators.openrouter.settings import BASE_PATH, OpenRouterSettings
from clawdeploy_emulators.store import Store


def create_openrouter(settings: OpenRouterSettings) -> FastAPI:
    """The stand-in as an application: mount it in process (httpx.ASGITransport) or serve it.

    The state file is opened here, so it works without lifespan events; with them it is closed at the end.
    """
    store = Store(settings.state_file, schema=SCHEMA)
    faults = FaultSwitch(base_path=BASE_PATH)
    context = Context(settings=settings, store=store, keys=Keys(store), ledger=Ledger(store), faults=faults)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        yield
        store.close()

    app = FaultyFastAPI(
        faults=faults, error_body=error_body, limit_headers=limit_headers, openapi_url=None, lifespan=lifespan
    )
    app.state.context = context
    install_error_handlers(app)
    for module in (key_routes, account_routes, chat_routes):
        app.include_router(module.router, prefix=BASE_PATH)
    app.include_router(control_routes.router)
    app.include_router(control_routes.health_router)
    return app

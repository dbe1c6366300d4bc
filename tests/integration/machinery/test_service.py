"""A service put together: it starts while its engines are away, tells the truth about itself, and stops in good order."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import uuid4

from fastapi import APIRouter
from starlette.responses import StreamingResponse
from tests.engines.databases import Database
from tests.engines.ports import free_ports
from tests.engines.wheels import RunningPostgres
from tests.integration.machinery import throwaway
from tests.integration.machinery.machine import settings_for
from tests.integration.machinery.throwaway.handlers import Handlers
from tests.integration.machinery.throwaway.models import metadata
from uvicorn import Config

from clawdeploy_cli.engines.database import prepare_database, role_names
from clawdeploy_common.http import AsyncClient
from clawdeploy_common.internal import Caller
from clawdeploy_common.service import Service
from clawdeploy_common.service import _Server as Server  # pyright: ignore[reportPrivateUsage]


def build(database: Database, broker: str) -> Service:
    handlers = Handlers()
    return Service(
        settings_for("provisioner", database, broker).model_copy(update={"port": free_ports(1)[0]}),
        name="provisioner",
        package_file=throwaway.__file__,
        metadata=metadata,
        projectors=handlers.projectors,
        reactors=handlers.reactors,
        consumes=["api"],
    )


def routes(service: Service) -> APIRouter:
    router = APIRouter()

    async def beats() -> AsyncGenerator[bytes]:
        while not service.stopping.is_set():
            yield b": beat\n\n"
            await asyncio.sleep(0.05)
        yield b"event: end\n\n"

    @router.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(beats(), media_type="text/event-stream")

    @router.get("/whoami")
    async def whoami(caller: Caller) -> str:
        return caller.issuer

    return router


@asynccontextmanager
async def served(service: Service) -> AsyncGenerator[tuple[AsyncClient, Server, asyncio.Task[None]]]:
    """The service behind uvicorn, as `serve` runs it, without its process-wide signal handlers."""
    app = service.app(title="throw-away", routers=[routes(service)])
    config = Config(app, host="127.0.0.1", port=service.settings.port, log_config=None, timeout_graceful_shutdown=5)
    server = Server(config, service.stopping)
    task = asyncio.create_task(server._serve())  # pyright: ignore[reportPrivateUsage]
    async with AsyncClient(base_url=f"http://127.0.0.1:{service.settings.port}", timeout=10) as client:
        try:
            while not server.started:
                await asyncio.sleep(0.02)
            yield client, server, task
        finally:
            server.handle_exit(15, None)
            await task


async def until_ready(client: AsyncClient) -> None:
    async with asyncio.timeout(30):
        while (await client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.05)


async def test_a_service_starts_while_database_and_broker_are_away(
    own_postgres: RunningPostgres, unused_port: int
) -> None:
    """INVARIANT: a service lives while its engines are away, and is ready when its database answers, broker or not."""
    passwords = {role: f"password-of-{role}" for role in role_names()}
    await prepare_database(own_postgres.admin_url, database="away", passwords=passwords)
    own_postgres.stop()
    service = build(
        Database(name="away", admin_url=own_postgres.admin_url, passwords=passwords), f"127.0.0.1:{unused_port}"
    )
    async with served(service) as (client, _, _task):
        assert (await client.get("/healthz")).status_code == 200
        away = await client.get("/readyz")
        assert (away.status_code, away.json()["database"]) == (503, "away")
        await own_postgres.start()
        await until_ready(client)
        body = (await client.get("/readyz")).json()
        assert (body["relay"], body["consumers"]) == ("away", "away")
        assert "clawdeploy_http_requests_total" in (await client.get("/metrics")).text


async def test_a_stop_ends_open_streams_and_every_loop(database: Database, kafka: str) -> None:
    """INVARIANT: asked to stop, a service ends its open streams itself and is gone within its grace."""
    service = build(database, kafka)
    async with served(service) as (client, server, task):
        await until_ready(client)
        async with client.stream("GET", "/stream") as response:
            lines = response.aiter_lines()
            assert await anext(lines) == ": beat"
            server.handle_exit(15, None)
            async with asyncio.timeout(30):
                rest = [line async for line in lines]
        assert "event: end" in rest
        async with asyncio.timeout(30):
            await task
    assert not [t for t in asyncio.all_tasks() if t.get_name() in {"relay", "drainer", "subscription-0"}]


async def test_internal_routes_ask_for_a_token_of_this_service(database: Database, kafka: str) -> None:
    """INVARIANT: an internal route answers 401 without a valid token, 403 without an operator's."""
    service = build(database, kafka)
    async with served(service) as (client, _, _task):
        await until_ready(client)
        mine = service.tokens.issue("provisioner", account_id=uuid4())
        other = service.tokens.issue("billing")
        for token in ("", "Bearer", "Bearer nonsense", f"Bearer {other}", f"Basic {mine}"):
            answer = await client.get("/whoami", headers={"Authorization": token})
            assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
        assert (await client.get("/whoami", headers={"Authorization": f"Bearer {mine}"})).json() == "provisioner"
        path = "/internal/dead-letters"
        assert (await client.get(path, headers={"Authorization": f"Bearer {mine}"})).status_code == 403
        operator = {"Authorization": f"Bearer {service.tokens.issue('provisioner', operator=True)}"}
        assert (await client.get(path, headers=operator)).json() == {"items": [], "next_cursor": None}
        assert (await client.get(f"{path}?cursor=%00", headers=operator)).status_code == 422
        assert (await client.post(f"{path}/{uuid4()}/retry", headers=operator)).status_code == 404
        async with asyncio.timeout(20):
            while (await client.get("/readyz")).json()["consumers"] != "connected":
                await asyncio.sleep(0.05)
        assert (await client.post("/internal/replay", headers=operator)).json()["events"] == 0

"""A provisioner in this process: real PostgreSQL, the light provider, an emulated OpenRouter; events are handed to its inbox."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from tests.engines.databases import Database
from tests.light.provider import LightProvider

from clawdeploy_common.events import Envelope, Event, encode
from clawdeploy_common.http import ASGITransport, AsyncClient
from clawdeploy_common.ids import new_id
from clawdeploy_common.records import Record
from clawdeploy_common.service import Service
from clawdeploy_emulators import OpenRouterSettings, create_openrouter
from clawdeploy_events.deployments import DeploymentPlan, DeploymentRequested
from clawdeploy_provisioner.main import build
from clawdeploy_provisioner.settings import ProvisionerSettings

MANAGEMENT_KEY = "sk-or-v1-management-" + "0" * 44


class Platform:
    """A provisioner and everything around it, with the questions tests ask."""

    def __init__(self, service: Service, app: FastAPI, provider: LightProvider, openrouter: AsyncClient) -> None:
        self.service = service
        self.app = app
        self.provider = provider
        self.openrouter = openrouter
        self._versions: dict[UUID, int] = {}

    async def send(self, event: Event, *, key: UUID, account_id: UUID) -> None:
        """Hand an event of the gateway to the provisioner, as the next of its key."""
        self._versions[key] = version = self._versions.get(key, 0) + 1
        envelope = Envelope(
            id=new_id(),
            source="/clawdeploy/api",
            type=event.event_type,
            key=key,
            version=version,
            time=datetime.now(UTC),
            account_id=account_id,
            data=encode(event),
        )
        headers = envelope.headers()
        record = Record.read(
            topic="clawdeploy.deployments", partition=0, offset=version, headers=headers, payload=envelope.data
        )
        await self.service.inbox.receive([record])

    async def deploy(self, **changes: Any) -> tuple[UUID, UUID, UUID]:
        """Ask for a deployment; returns (instance, account, operation)."""
        instance_id, account_id, operation_id = new_id(), new_id(), new_id()
        plan = deployment_plan(operation_id, **changes)
        await self.send(DeploymentRequested(deployment=plan), key=instance_id, account_id=account_id)
        return instance_id, account_id, operation_id

    async def rows(self, statement: str, **values: Any) -> Sequence[Any]:
        """Rows of the provisioner's schema."""
        async with self.service.database.connection() as connection:
            return (await connection.execute(text(statement), values)).all()

    async def operation(self, operation_id: UUID) -> Any:
        """An operation's row."""
        return (await self.rows("SELECT * FROM operations WHERE id = :id", id=operation_id))[0]

    async def ended(self, operation_id: UUID, *, seconds: float = 30) -> Any:
        """Wait for an operation's end; returns its row."""
        async with asyncio.timeout(seconds):
            while (row := await self.operation(operation_id)).finished_at is None:
                await asyncio.sleep(0.02)
        return row

    async def events(self, key: UUID) -> list[tuple[str, dict[str, Any]]]:
        """What the provisioner told of an instance, in order."""
        rows = await self.rows("SELECT type, data FROM outbox WHERE key = :key ORDER BY version", key=key)
        return [(row.type, json.loads(row.data)) for row in rows]

    async def told(self, key: UUID) -> list[str]:
        """The types of those events, without the changes of steps."""
        return [name for name, _ in await self.events(key) if name != "operation.step_changed.v1"]

    async def keys(self) -> list[dict[str, Any]]:
        """Every key OpenRouter knows."""
        headers = {"Authorization": f"Bearer {MANAGEMENT_KEY}"}
        response = await self.openrouter.get("/api/v1/keys?include_disabled=true&include_expired=true", headers=headers)
        return list(response.json()["data"])


def deployment_plan(operation_id: UUID, **changes: Any) -> DeploymentPlan:
    """A plan for the light provider."""
    facts: dict[str, Any] = {
        "operation_id": operation_id,
        "slug": "test",
        "provider": "light",
        "region": "local",
        "plan": "basic",
        "price_version": 1,
        "memory_mb": 2048,
        "cpu_millis": 2000,
        "model": "openai/gpt-5.2",
        "channel": "telegram",
        "config_version": 1,
        "llm_limit_micros": 5_000_000,
    }
    return DeploymentPlan(**(facts | changes))


def settings_for(database: Database, **changes: Any) -> ProvisionerSettings:
    """Settings of a provisioner on a test's database, with short leases."""
    facts: dict[str, Any] = {
        "database_url": database.url("provisioner"),
        "database_web_url": database.web_url("provisioner"),
        "kafka_bootstrap_servers": "127.0.0.1:1",
        "internal_secret": "x" * 32,
        "ENCRYPTION_KEY": base64.b64encode(b"k" * 32).decode(),
        "OPENROUTER_MANAGEMENT_KEY": MANAGEMENT_KEY,
        "OPENROUTER_BASE_URL": "http://openrouter/api/v1",
        "api_url": "http://api",
        "providers": "light",
        "operation_lease_seconds": 2,
        "inventory_seconds": 0.3,
        "llm_call_seconds": 2,
    }
    return ProvisionerSettings(**(facts | changes))


def gateway_app() -> FastAPI:
    """The gateway's internal routes that a provisioner asks: one configuration, and no secret."""
    app = FastAPI()

    @app.get("/internal/instances/{instance_id}/configs/{version}")
    async def config(instance_id: UUID, version: int) -> dict[str, Any]:
        return {"version": version, "content_hash": secrets.token_hex(32), "config": {}}

    return app


def client(openrouter: FastAPI) -> AsyncClient:
    """One HTTP client: OpenRouter and the gateway are apps in this process, agents are real."""
    mounts = {"http://openrouter": ASGITransport(openrouter), "http://api": ASGITransport(gateway_app())}
    return AsyncClient(mounts=mounts)


@asynccontextmanager
async def provisioner(database: Database, folder: Path, **changes: Any) -> AsyncGenerator[Platform]:
    """A running provisioner; several may share a database, a folder and an OpenRouter."""
    hook = changes.pop("hook", None)
    provider = LightProvider(folder / "servers", **({"hook": hook} if hook else {}))
    openrouter = changes.pop("openrouter", None) or create_openrouter(
        OpenRouterSettings(state_file=folder / "openrouter.sqlite", management_key=MANAGEMENT_KEY)
    )
    service, app = build(settings_for(database, **changes), http=client(openrouter), providers={"light": provider})
    async with app.router.lifespan_context(app):
        while not service.migrated:
            await asyncio.sleep(0.02)
        async with AsyncClient(transport=ASGITransport(openrouter), base_url="http://openrouter") as outside:
            yield Platform(service, app, provider, outside)


@pytest.fixture
async def platform(database: Database, tmp_path: Path) -> AsyncGenerator[Platform]:
    """A provisioner of this test's own; what its agents left running is ended."""
    async with provisioner(database, tmp_path) as running:
        yield running
        for server in (await running.provider.list_servers()).servers:
            await running.provider.destroy(server.server_id)

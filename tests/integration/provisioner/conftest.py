"""A provisioner in this process: real PostgreSQL, the light provider, an emulated OpenRouter; events are handed to its inbox."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from tests.engines.databases import Database
from tests.integration.provisioner.gateway import Gateway
from tests.light.moments import Moments
from tests.light.provider import LightProvider

from clawdeploy_common.events import Envelope, Event, encode
from clawdeploy_common.http import ASGITransport, AsyncClient
from clawdeploy_common.ids import new_id
from clawdeploy_common.records import Record
from clawdeploy_common.service import Service
from clawdeploy_emulators import OpenRouterSettings, create_openrouter
from clawdeploy_events.deployments import DeploymentPlan, DeploymentRequested, InstanceDestroyRequested
from clawdeploy_provisioner.encryption import EncryptionKeys
from clawdeploy_provisioner.main import build
from clawdeploy_provisioner.secret_store import SecretStore
from clawdeploy_provisioner.settings import ProvisionerSettings

MANAGEMENT_KEY = "sk-or-v1-management-" + "0" * 44

MANAGER = {"Authorization": f"Bearer {MANAGEMENT_KEY}"}


@dataclass(frozen=True, kw_only=True)
class Instance:
    """An instance of a test: its id, its account's, and its first deployment's."""

    id: UUID
    account_id: UUID
    deployment_id: UUID


class Platform:
    """A provisioner and everything around it, with the questions tests ask."""

    def __init__(
        self,
        service: Service,
        app: FastAPI,
        provider: LightProvider,
        openrouter: AsyncClient,
        *,
        moments: Moments,
        gateway: Gateway,
    ) -> None:
        self.service = service
        self.app = app
        self.provider = provider
        self.openrouter = openrouter
        self.moments = moments
        self.gateway = gateway
        self.secrets = SecretStore(
            service.database,
            http=openrouter,
            api_url="http://api",
            tokens=service.tokens,
            encryption=EncryptionKeys(current=b"k" * 32, previous=None),
        )
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
        record = Record(
            topic="clawdeploy.deployments", partition=0, offset=version, headers=headers, payload=envelope.data
        )
        await self.service.inbox.receive([record])

    async def deploy(self, *, account_id: UUID | None = None, **changes: Any) -> Instance:
        """Ask for a deployment."""
        instance = Instance(id=new_id(), account_id=account_id or new_id(), deployment_id=new_id())
        await self.request_deployment(instance, **changes)
        return instance

    async def request_deployment(self, instance: Instance, **changes: Any) -> None:
        """Ask for the deployment of an instance whose id is known."""
        plan = deployment_plan(instance.deployment_id, **changes)
        await self.send(DeploymentRequested(deployment=plan), key=instance.id, account_id=instance.account_id)

    async def deployed(self, **changes: Any) -> Instance:
        """Deploy, and wait until it succeeded."""
        instance = await self.deploy(**changes)
        row = await self.ended(instance.deployment_id)
        assert (row.state, row.error) == ("succeeded", None)
        return instance

    async def ask(self, instance: Instance, event_class: type[Any], **facts: Any) -> UUID:
        """Ask for another operation; returns its id."""
        operation_id = facts.pop("operation_id", None) or new_id()
        event = event_class(operation_id=operation_id, **facts)
        await self.send(event, key=instance.id, account_id=instance.account_id)
        return operation_id

    async def destroy(self, instance: Instance) -> UUID:
        """Ask for the instance's end; returns the operation."""
        return await self.ask(instance, InstanceDestroyRequested, requested_at=datetime.now(UTC))

    async def done(self, operation_id: UUID) -> None:
        """Wait for an operation's success."""
        row = await self.ended(operation_id)
        assert (row.state, row.error) == ("succeeded", None)

    async def until(self, statement: str, expected: Any, *, seconds: float = 60, **values: Any) -> None:
        """Wait until a query's first value is as expected."""
        found: Any = None
        try:
            async with asyncio.timeout(seconds):
                while (found := [row[0] for row in await self.rows(statement, **values)]) != [expected]:
                    await asyncio.sleep(0.03)
        except TimeoutError:
            raise AssertionError(f"{statement}: {found} instead of {expected}") from None

    async def until_told(self, key: UUID, event_type: str, *, seconds: float = 60) -> dict[str, Any]:
        """Wait for an event; returns its data."""
        async with asyncio.timeout(seconds):
            while True:
                found = [data for name, data in await self.events(key) if name == event_type]
                if found:
                    return found[0]
                await asyncio.sleep(0.03)

    async def steps(self, operation_id: UUID) -> dict[str, str]:
        """The states of an operation's steps by name."""
        rows = await self.rows(
            "SELECT name, state FROM operation_steps WHERE operation_id = :id ORDER BY position", id=operation_id
        )
        return {row.name: row.state for row in rows}

    async def output(self, operation_id: UUID) -> list[str]:
        """What an operation's steps said."""
        rows = await self.rows(
            "SELECT line FROM operation_outputs WHERE operation_id = :id ORDER BY id", id=operation_id
        )
        return [row.line for row in rows]

    async def server_id(self, instance: Instance) -> UUID:
        """The instance's server."""
        (row,) = await self.rows(
            "SELECT id FROM servers WHERE instance_id = :id AND destroyed_at IS NULL", id=instance.id
        )
        return row.id

    async def rounds(self, count: int) -> None:
        """Wait until the inventory has begun this many further rounds."""
        until = self.moments.seen.count("before list_servers") + count + 1
        async with asyncio.timeout(30):
            while self.moments.seen.count("before list_servers") < until:
                await asyncio.sleep(0.05)

    async def faults(self, *faults: dict[str, Any]) -> None:
        """Switch faults of OpenRouter on."""
        response = await self.openrouter.put("/_emulator/faults", json=list(faults), headers=MANAGER)
        assert response.status_code < 300, response.text

    async def live_keys(self) -> list[str]:
        """The hashes of the keys that can spend."""
        return [key["hash"] for key in await self.keys() if not key["disabled"]]

    async def heard(self, instance: Instance) -> None:
        """Go on where another provisioner of the same database stopped hearing of an instance."""
        (row,) = await self.rows("SELECT version FROM progress WHERE kind = 'reactor' AND key = :key", key=instance.id)
        self._versions[instance.id] = row.version

    def forget_versions(self) -> None:
        """Send what follows as if the log were read again from its beginning."""
        self._versions.clear()

    async def rows(self, statement: str, **values: Any) -> Sequence[Any]:
        """Rows of the provisioner's schema."""
        async with self.service.database.connection() as connection:
            return (await connection.execute(text(statement), values)).all()

    async def operation(self, operation_id: UUID) -> Any:
        """An operation's row."""
        return (await self.rows("SELECT * FROM operations WHERE id = :id", id=operation_id))[0]

    async def ended(self, operation_id: UUID, *, seconds: float = 90) -> Any:
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
        response = await self.openrouter.get("/api/v1/keys?include_disabled=true&include_expired=true", headers=MANAGER)
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
        "llm_call_seconds": 1,
        "provider_call_seconds": 5,
        "orphan_age_seconds": 1,
    }
    return ProvisionerSettings(**(facts | changes))


def client(openrouter: FastAPI, gateway: Gateway) -> AsyncClient:
    """One HTTP client: OpenRouter and the gateway are apps in this process, agents are real."""
    mounts = {"http://openrouter": ASGITransport(openrouter), "http://api": ASGITransport(gateway.app)}
    return AsyncClient(mounts=mounts)


def openrouter_in(folder: Path) -> FastAPI:
    """An emulated OpenRouter; two with the same folder are the same account."""
    return create_openrouter(OpenRouterSettings(state_file=folder / "openrouter.sqlite", management_key=MANAGEMENT_KEY))


@asynccontextmanager
async def provisioner(
    database: Database,
    folder: Path,
    *,
    moments: Moments | None = None,
    openrouter: FastAPI | None = None,
    visibility_lag: timedelta = timedelta(0),
    leaves_servers: bool = False,
    kind: type[LightProvider] = LightProvider,
    **changes: Any,
) -> AsyncGenerator[Platform]:
    """A running provisioner with these changes to its settings; several may share a database, a folder and an OpenRouter."""
    moments, gateway, openrouter = moments or Moments(), Gateway(), openrouter or openrouter_in(folder)
    provider = kind(folder / "servers", hook=moments, visibility_lag=visibility_lag)
    service, app = build(
        settings_for(database, **changes), http=client(openrouter, gateway), providers={"light": provider}
    )
    try:
        async with app.router.lifespan_context(app):
            while not service.migrated:
                await asyncio.sleep(0.02)
            async with AsyncClient(transport=ASGITransport(openrouter), base_url="http://openrouter") as outside:
                yield Platform(service, app, provider, outside, moments=moments, gateway=gateway)
    finally:
        if not leaves_servers:
            provider.remove_all()


@pytest.fixture
async def platform(database: Database, tmp_path: Path) -> AsyncGenerator[Platform]:
    """A provisioner of this test's own."""
    async with provisioner(database, tmp_path) as running:
        yield running

"""A provisioner in this process that is killed and started again, as often as a test likes; what it did not commit is lost."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from clawdeploy_common.events import Event
from clawdeploy_common.http import ASGITransport, AsyncClient, Response
from clawdeploy_common.ids import new_id
from clawdeploy_common.records import Record
from clawdeploy_common.service import Service
from clawdeploy_common.tokens import InternalTokens
from clawdeploy_events.deployments import DeploymentCancelRequested, DeploymentRequested, InstanceDestroyRequested
from clawdeploy_provisioner.main import build
from clawdeploy_provisioner.settings import ProvisionerSettings
from tests.engines.databases import Database
from tests.integration.producers import Producer
from tests.integration.provisioner.conftest import deployment_plan
from tests.light.fates import Life, watch_steps
from tests.light.through_the_gateway import ThroughTheGateway

_FORWARD = """
    UPDATE operations SET lease_until = lease_until - $1::interval, run_at = run_at - $1::interval WHERE finished_at IS NULL;
    UPDATE operation_steps SET call_deadline = call_deadline - $1::interval WHERE call_deadline IS NOT NULL;
    UPDATE cleanup_debts SET retry_at = retry_at - $1::interval WHERE settled_at IS NULL;
    UPDATE loop_leases SET lease_until = lease_until - $1::interval;
    UPDATE rate_budgets SET closed_until = closed_until - $1::interval;
    UPDATE orphans SET found_at = found_at - $1::interval WHERE removed_at IS NULL
"""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """An instance that was asked for."""

    id: UUID
    account_id: UUID
    deployment_id: UUID


class MortalWorld:
    """What survives every death: the database and the log of requests; ``seen`` are all moments, ``relay`` the way of agents."""

    relay: ThroughTheGateway

    def __init__(self, database: Database, settings: ProvisionerSettings, *, plan: dict[str, Any]) -> None:
        self.seen: list[str] = []
        self._database = database
        self._settings = settings
        self._plan = plan
        self.budgets: Callable[[], AbstractContextManager[None]] = nullcontext
        self._producer = Producer("api")
        self._log: list[Record] = []
        self._services: list[Service] = []

    def client(self, life: Life) -> AsyncClient:
        """What a provisioner calls with."""
        raise NotImplementedError

    @asynccontextmanager
    async def running(self, *moments: str) -> AsyncGenerator[Life]:
        """A provisioner, until it dies at one of these moments or the block ends; the log of requests is read to it first."""
        life = Life(set(moments), self.seen)
        with self.budgets():
            service, app = build(self._settings, http=self.client(life))
        life.holds(service.database)
        undo = watch_steps(life.reach)
        try:
            async with app.router.lifespan_context(app):
                while not service.migrated:
                    await asyncio.sleep(0.01)
                self.relay.tokens = InternalTokens(self._settings.internal_secret, service="api")
                self.relay.inner = ASGITransport(app)
                self._services.append(service)
                await self._read_log()
                yield life
                self.relay.inner = None
                self._services.remove(service)
        finally:
            undo()

    async def _read_log(self) -> None:
        for service in self._services:
            for record in self._log:
                await service.inbox.receive([record])

    async def _send(self, event: Event, wanted: Wanted) -> None:
        self._log.append(self._producer.record(event, key=wanted.id, account_id=wanted.account_id))
        for service in self._services:
            await service.inbox.receive([self._log[-1]])

    async def deploy(self) -> Wanted:
        """Ask for a deployment."""
        wanted = Wanted(id=new_id(), account_id=new_id(), deployment_id=new_id())
        plan = deployment_plan(wanted.deployment_id, **self._plan)
        await self._send(DeploymentRequested(deployment=plan), wanted)
        return wanted

    async def destroy(self, wanted: Wanted) -> UUID:
        """Ask for the instance's end; returns the operation."""
        event = InstanceDestroyRequested(operation_id=new_id(), requested_at=datetime.now(UTC))
        await self._send(event, wanted)
        return event.operation_id

    async def cancel(self, wanted: Wanted) -> None:
        """Ask for the deployment's end."""
        await self._send(DeploymentCancelRequested(operation_id=wanted.deployment_id), wanted)

    async def rows(self, query: str, *values: Any) -> Sequence[Any]:
        """Rows of the provisioner's schema, whoever is dead."""
        connection = await asyncpg.connect(
            self._database.url("provisioner"), server_settings={"search_path": "provisioner"}
        )
        try:
            return await connection.fetch(query, *values)
        finally:
            await connection.close()

    async def forward(self, seconds: int) -> None:
        """Let time pass: leases run out, deadlines are over, debts are due."""
        for statement in _FORWARD.split(";"):
            await self.rows(statement.replace("$1::interval", f"interval '{seconds} seconds'"))

    async def state(self, operation_id: UUID) -> str | None:
        """How an operation ended; None while it goes on."""
        rows = await self.rows("SELECT state FROM operations WHERE id = $1 AND finished_at IS NOT NULL", operation_id)
        return str(rows[0]["state"]) if rows else None

    async def ended(self, operation_id: UUID, *, seconds: float = 180) -> str:
        """Wait for an operation's end."""
        async with asyncio.timeout(seconds):
            while (state := await self.state(operation_id)) is None:
                await asyncio.sleep(0.05)
        return state

    async def survives(self, moments: Sequence[str], done: Callable[[], Awaitable[bool]]) -> set[str]:
        """Live and die, once at each of these moments, until it is done; returns where it died."""
        left, struck = set(moments), set[str]()
        while True:
            async with self.running(*left) as life:
                while not life.died.is_set() and not await done():
                    await asyncio.sleep(0.05)
            if life.died_at is None:
                return struck
            struck.add(life.died_at)
            left.discard(life.died_at)
            await self.forward(60)

    async def asks(self, path: str) -> Any:
        """What the provisioner answers an operator."""
        return (await self.asked("GET", path)).json()

    async def asked(self, method: str, path: str, *, body: dict[str, Any] | None = None) -> Response:
        """The whole answer."""
        token = self.relay.tokens.issue("provisioner", operator=True)
        assert self.relay.inner is not None
        async with AsyncClient(transport=self.relay.inner, base_url="http://provisioner") as http:
            return await http.request(method, path, headers={"Authorization": f"Bearer {token}"}, json=body)

    async def events(self) -> list[tuple[Any, dict[str, Any]]]:
        """Everything the provisioner told, in order of keys and versions."""
        rows = await self.rows("SELECT * FROM outbox ORDER BY key, version")
        return [(row, json.loads(row["data"])) for row in rows]

"""A cloud account on hollow servers and the provisioner that works with it, in this process: killed, paused and started again."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from fastapi import FastAPI
from httpx import AsyncBaseTransport

from clawdeploy_common.events import Event
from clawdeploy_common.http import ASGITransport, AsyncClient, Response
from clawdeploy_common.ids import new_id
from clawdeploy_common.records import Record
from clawdeploy_common.service import Service
from clawdeploy_common.tokens import InternalTokens
from clawdeploy_emulators.cloud.hollow_agent import AgentPlayer
from clawdeploy_emulators.cloud.hollow_ssh import SshMachine
from clawdeploy_emulators.cloud.machines import HollowMachine, Machine
from clawdeploy_events.deployments import DeploymentCancelRequested, DeploymentRequested, InstanceDestroyRequested
from clawdeploy_provisioner.main import build
from tests.engines.databases import Database
from tests.engines.ports import free_ports
from tests.integration.producers import Producer
from tests.integration.provisioner.conftest import deployment_plan, openrouter_in, settings_for
from tests.integration.provisioner.gateway import Gateway
from tests.light.clouds import CloudKind, Making
from tests.light.fates import Late, Life, Wire, generous_budgets, watch_steps
from tests.light.through_the_gateway import ThroughTheGateway

_FORWARD = """
    UPDATE operations SET lease_until = lease_until - $1::interval, run_at = run_at - $1::interval WHERE finished_at IS NULL;
    UPDATE operation_steps SET call_deadline = call_deadline - $1::interval WHERE call_deadline IS NOT NULL;
    UPDATE cleanup_debts SET retry_at = retry_at - $1::interval WHERE settled_at IS NULL;
    UPDATE loop_leases SET lease_until = lease_until - $1::interval;
    UPDATE rate_budgets SET closed_until = closed_until - $1::interval;
    UPDATE orphans SET found_at = found_at - $1::interval WHERE removed_at IS NULL
"""
_POSTPONED_NO_LONGER = """
    UPDATE cleanup_debts SET retry_at = clock_timestamp()
    WHERE settled_at IS NULL AND retry_at < clock_timestamp() + interval '100 seconds'
"""  # one that is being tried is held for longer
_UNFINISHED = "SELECT count(*) FROM operations WHERE finished_at IS NULL"
_OWED = "SELECT count(*) FROM cleanup_debts WHERE settled_at IS NULL"
_MADE = "SELECT provider_ref FROM servers WHERE accepted_at IS NOT NULL"
_LOST = "SELECT provider_ref FROM orphans WHERE resource = 'server'"
_HAUNTED = "SELECT count(*) FROM orphans WHERE removed_at IS NULL"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """An instance that was asked for."""

    id: UUID
    account_id: UUID
    deployment_id: UUID


class CloudWorld:
    """What survives every death: the database, the account, the log of requests; ``seen`` are all moments, ``calls`` all calls."""

    def __init__(self, kind: CloudKind, database: Database, folder: Path, **settings: Any) -> None:
        self.kind = kind
        self.seen: list[str] = []
        self.calls: Counter[str] = Counter()
        self.refused = 0
        self._late: list[Late] = []
        self._database = database
        self._relay = ThroughTheGateway()
        script = AgentPlayer(folder / "disks", transport=self._relay)
        [ssh_port] = free_ports(1)

        def machine(server_id: str) -> Machine:
            if kind.over_ssh:
                return SshMachine(folder / "machines" / server_id, script=script, port=ssh_port)
            return HollowMachine(server_id, script=script)

        making = Making(
            state_file=folder / f"{kind.name}.sqlite",
            machine=machine,
            clock=lambda: datetime.now(UTC),
            action_seconds=settings.pop("action_seconds", 0.05),
            server_limit=settings.pop("server_limit", 300),
            is_limited=settings.pop("is_limited", False),
        )
        self._budgets = nullcontext if making.is_limited else generous_budgets
        self.app = kind.create(making)
        self.account = kind.account(self.app)
        self._openrouter: FastAPI = openrouter_in(folder)
        self._gateway = Gateway()
        self._settings = settings_for(
            database,
            **{
                "providers": "",
                "clouds": kind.name,
                "cloud_visibility_seconds": 0,
                "cloud_inventory_seconds": 0.5,
                "agent_busy_heartbeat_seconds": 0.1,
                "agent_heartbeat_seconds": 0.5,
                "provider_call_seconds": 5,
                "orphan_age_seconds": 0.5,
                "ovh_ssh_port": ssh_port,
                **kind.settings,
                **settings,
            },
        )
        self._producer = Producer("api")
        self._log: list[Record] = []
        self._services: list[Service] = []

    async def close(self) -> None:
        """Switch every machine off."""
        await self.app.state.cloud.machines.close()
        self.app.state.cloud.store.close()

    @asynccontextmanager
    async def running(self, *moments: str) -> AsyncGenerator[Life]:
        """A provisioner, until it dies at one of these moments or the block ends; the log of requests is read to it first."""
        life = Life(set(moments), self.seen)
        with self._budgets():
            service, app = build(self._settings, http=self._client(life))
        life.holds(service.database)
        undo = watch_steps(life.reach)
        try:
            async with app.router.lifespan_context(app):
                while not service.migrated:
                    await asyncio.sleep(0.01)
                self._relay.tokens = InternalTokens(self._settings.internal_secret, service="api")
                self._relay.inner = ASGITransport(app)
                self._services.append(service)
                await self._read_log()
                yield life
                self._relay.inner = None
                self._services.remove(service)
        finally:
            undo()

    def _client(self, life: Life) -> AsyncClient:
        mounts: dict[str, AsyncBaseTransport] = {
            "http://openrouter": Wire(ASGITransport(self._openrouter), life, count=self._count, late=self._late),
            self.kind.host: Wire(ASGITransport(self.app), life, count=self._count, late=self._late),
            "http://api": ASGITransport(self._gateway.app),
        }
        return AsyncClient(mounts=mounts)

    def _count(self, name: str) -> None:
        if name == "refused":
            self.refused += 1
        else:
            self.calls[name] += 1

    async def _read_log(self) -> None:
        for service in self._services:
            for record in self._log:
                await service.inbox.receive([record])

    async def _send(self, event: Event, wanted: Wanted) -> None:
        self._log.append(self._producer.record(event, key=wanted.id, account_id=wanted.account_id))
        for service in self._services:
            await service.inbox.receive([self._log[-1]])

    def hold_up(self, call: str) -> Late:
        """Hold the next such call up on its way."""
        self._late.append(Late(call))
        return self._late[-1]

    async def deploy(self) -> Wanted:
        """Ask for a deployment."""
        wanted = Wanted(id=new_id(), account_id=new_id(), deployment_id=new_id())
        plan = deployment_plan(wanted.deployment_id, **self.kind.plan)
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

    async def settles(self, *, seconds: float = 180) -> None:
        """Wait until nothing is under way, nothing owed and nothing found that nobody owns, with time driven; then look once more."""
        try:
            async with asyncio.timeout(seconds):
                while await self._open():
                    await self.rows(_POSTPONED_NO_LONGER)
                    await asyncio.sleep(0.3)
        except TimeoutError:
            raise AssertionError(f"it does not settle: {await self._open()}") from None

    async def _open(self) -> list[str]:
        found = [query for query in (_UNFINISHED, _OWED, _HAUNTED) if (await self.rows(query))[0][0]]
        rows = await self.live()
        refs = sorted(row["provider_ref"] for row in rows)
        if await self.account.servers() != refs:
            found.append("servers are not rows")
        known = {str(row["id"]) for row in rows}
        there = await self.account.everything()
        return found + [name for name in there if name not in refs and not any(id_ in name for id_ in known)]

    async def live(self) -> Sequence[Any]:
        """The rows of servers that are there."""
        return await self.rows("SELECT * FROM servers WHERE accepted_at IS NOT NULL AND destroyed_at IS NULL")

    async def is_sound(self) -> None:
        """Law 7: servers at the provider are the servers in the rows, no debt is left, and each deployment made one at most."""
        await self.settles()
        assert await self.account.servers() == sorted(row["provider_ref"] for row in await self.live())
        made = await self.account.made()
        lost = {row["provider_ref"] for row in await self.rows(_LOST)}
        lines = (await self.account.bill())["lines"]
        names = Counter(line["name"] for line in lines if not line["item"].startswith("primary"))
        assert self.kind.repeats or not names or max(names.values()) == 1, names
        assert [ref for ref in made if ref not in lost] == sorted(row["provider_ref"] for row in await self.rows(_MADE))
        for row in await self.rows("SELECT count(*) AS n FROM servers GROUP BY operation_id"):
            assert row["n"] == 1

    async def asks(self, path: str) -> Any:
        """What the provisioner answers an operator."""
        return (await self.asked("GET", path)).json()

    async def asked(self, method: str, path: str) -> Response:
        """The whole answer."""
        token = self._relay.tokens.issue("provisioner", operator=True)
        assert self._relay.inner is not None
        async with AsyncClient(transport=self._relay.inner, base_url="http://provisioner") as http:
            return await http.request(method, path, headers={"Authorization": f"Bearer {token}"})

    async def events(self) -> list[tuple[Any, dict[str, Any]]]:
        """Everything the provisioner told, in order of keys and versions."""
        rows = await self.rows("SELECT * FROM outbox ORDER BY key, version")
        return [(row, json.loads(row["data"])) for row in rows]

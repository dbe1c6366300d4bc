"""The monitor under test: told what happens, turned by hand, read back."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
from fastapi import FastAPI, Request
from sqlalchemy import text
from tests.engines.databases import Database
from tests.integration.producers import Producer

from clawdeploy_common.clock import utc_now
from clawdeploy_common.events import Event
from clawdeploy_common.records import Record
from clawdeploy_events.lifecycle import (
    InstanceDestroyed,
    InstanceStarted,
    InstanceStopped,
    OperationCompleted,
    OperationKind,
    OperationStarted,
    ServerState,
    ServerStateChanged,
)
from clawdeploy_monitor.main import build, patience_of, prober_of, probes_of
from clawdeploy_monitor.results import ResultWriter
from clawdeploy_monitor.settings import MonitorSettings

INTERNAL_SECRET = "an internal secret that is long enough for tests"  # pragma: allowlist secret


def settings_for(database: Database) -> MonitorSettings:
    """Settings of the monitor on a test's database; every probe asks the provisioner too."""
    return MonitorSettings.model_validate(
        {
            "port": 0,
            "database_url": database.url("monitor"),
            "database_web_url": database.web_url("monitor"),
            "kafka_bootstrap_servers": "127.0.0.1:1",
            "internal_secret": INTERNAL_SECRET,
            "monitor_probe_seconds": 60,
            "monitor_probe_timeout_seconds": 1,
            "monitor_channel_every": 1,
        }
    )


class Provisioner:
    """The provisioner's internal probe route, as the services agreed on it."""

    def __init__(self) -> None:
        self.view: dict[str, Any] | None = {"server_state": "running", "channel": "ready", "disk_free_bytes": 10**10}
        self.asked: list[tuple[str, str]] = []
        self.app = FastAPI()
        self.app.get("/internal/instances/{instance_id}/probe")(self._probe)

    async def _probe(self, instance_id: str, request: Request) -> dict[str, Any]:
        self.asked.append((instance_id, request.headers["authorization"]))
        if self.view is None:
            raise httpx.ConnectError("away")
        return {"detail": None, "channel_detail": None, "memory_bytes": None, **self.view}


class Monitoring:
    """One replica of the monitor."""

    def __init__(self, database: Database) -> None:
        self.settings = settings_for(database)
        self.service, self.app = build(self.settings)
        self.provisioner = Provisioner()
        transport = httpx.ASGITransport(self.provisioner.app)
        self.probes = probes_of(self.service, self.settings, provisioner=transport)
        self.writer = ResultWriter(self.service.database, patience_of(self.settings))
        self.prober = prober_of(self.service, self.settings, self.probes, self.writer)

    async def close(self) -> None:
        """Give connections back."""
        await self.probes.close()
        await self.service.database.close()

    async def receive(self, *records: Record) -> None:
        """Hand over one batch."""
        await self.service.inbox.receive(records)

    async def probe(self, times: int = 1) -> None:
        """Make everything that is watched due, probe it, and write what was found."""
        for _ in range(times):
            await self.execute("UPDATE watches SET next_probe_at = now() WHERE next_probe_at IS NOT NULL")
            await self.prober.claim_and_probe()
            await self.prober.settle()
            await self.writer.flush()

    async def execute(self, statement: str, **values: Any) -> None:
        """Run a statement as the owner."""
        async with self.service.database.connection() as connection:
            await connection.execute(text(statement), values)

    async def rows(self, query: str, **values: Any) -> Sequence[Any]:
        """Rows of a query as the owner."""
        async with self.service.database.connection() as connection:
            return (await connection.execute(text(query), values)).all()

    async def watch(self, agent_id: UUID) -> Any:
        """The watch of an instance."""
        (row,) = await self.rows("SELECT * FROM watches WHERE instance_id = :id", id=agent_id)
        return row

    async def told(self, event_type: str) -> list[dict[str, Any]]:
        """Payloads of one event type, in order."""
        rows = await self.rows("SELECT data FROM outbox WHERE type = :type ORDER BY id", type=event_type)
        return [json.loads(row.data) for row in rows]

    async def verdicts(self) -> list[str]:
        """The process healths that were told, in order."""
        return [event["process"] for event in await self.told("instance.health_changed.v1")]


class Watched:
    """One instance as the provisioner tells of it; each method is the next event."""

    def __init__(self, *, account_id: UUID | None = None) -> None:
        self.instance_id, self.account_id, self.server_id = uuid4(), account_id or uuid4(), uuid4()
        self._provisioner = Producer("provisioner")

    def event(self, event: Event) -> Record:
        return self._provisioner.record(event, key=self.instance_id, account_id=self.account_id)

    def started(self, probe_url: str | None, *, at: datetime | None = None) -> Record:
        return self.event(InstanceStarted(server_id=self.server_id, probe_url=probe_url, started_at=at or utc_now()))

    def stopped(self) -> Record:
        return self.event(InstanceStopped(server_id=self.server_id, stopped_at=utc_now()))

    def destroyed(self) -> Record:
        return self.event(InstanceDestroyed(destroyed_at=utc_now()))

    def server(self, state: ServerState, *, server_id: UUID | None = None, detail: str | None = None) -> Record:
        return self.event(
            ServerStateChanged(
                server_id=server_id or self.server_id,
                state=state,
                previous=ServerState.RUNNING,
                detail=detail,
                observed_at=utc_now(),
            )
        )

    def operation_started(self, operation_id: UUID, kind: OperationKind = OperationKind.STOP) -> Record:
        return self.event(OperationStarted(operation_id=operation_id, kind=kind, steps=[]))

    def operation_completed(self, operation_id: UUID, kind: OperationKind = OperationKind.STOP) -> Record:
        return self.event(OperationCompleted(operation_id=operation_id, kind=kind))

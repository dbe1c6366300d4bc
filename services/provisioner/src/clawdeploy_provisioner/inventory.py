"""The inventory loop: what the provider says of every server, compared with what is recorded, from both sides (law 7)."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable
from uuid import UUID

import structlog
from sqlalchemy import text

from clawdeploy_common.clock import utc_now
from clawdeploy_common.database import Database
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.lifecycle import OrphanFound, OrphanRemoved, ServerStateChanged
from clawdeploy_events.lifecycle import ServerState as PublishedState
from clawdeploy_provisioner import servers
from clawdeploy_provisioner.metrics import ORPHANS, SERVERS
from clawdeploy_provisioner.providers.protocol import Listing, Provider, Server, ServerState

log = structlog.get_logger()

ORPHAN_AGE = timedelta(minutes=2)
_LEASE = text(
    """
    INSERT INTO loop_leases (name, lease_until) VALUES (:name, clock_timestamp() + make_interval(secs => :seconds))
    ON CONFLICT (name) DO UPDATE SET lease_until = excluded.lease_until WHERE loop_leases.lease_until < clock_timestamp()
    RETURNING name
    """
)
_RECORDED = text(
    """
    SELECT s.id, s.instance_id, s.account_id, s.state, s.detail, s.accepted_at, s.destroyed_at, s.abandoned_at, s.restarts,
           EXISTS (SELECT 1 FROM operations o WHERE o.instance_id = s.instance_id AND o.state IN ('running', 'compensating')) AS busy
    FROM servers s WHERE s.provider = :provider AND (s.destroyed_at IS NULL OR s.destroyed_at > clock_timestamp() - interval '1 day')
    """
)
_LOCK_ROW = text("SELECT state, detail FROM servers WHERE id = :id AND destroyed_at IS NULL FOR UPDATE")
_ORPHAN = text(
    """
    INSERT INTO orphans (id, provider, provider_ref) VALUES (:id, :provider, :ref)
    ON CONFLICT (id) DO UPDATE SET removed_at = NULL RETURNING found_at, xmax = 0 AS first_seen
    """
)
_REMOVED = text("UPDATE orphans SET removed_at = clock_timestamp() WHERE id = :id")


@runtime_checkable
class Supervising(Protocol):
    """A provider that itself brings back what vanished (a cloud's machines do that on their own)."""

    async def supervise(self) -> list[Server]:
        """One round over every server nobody works on."""
        ...


class Inventory:
    """One loop per provider; of several provisioners one does a round."""

    def __init__(self, database: Database, providers: Mapping[str, Provider], *, seconds: float) -> None:
        self._database = database
        self._providers = providers
        self._seconds = seconds

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            for provider in self._providers.values():
                if await self._leads(provider.name):
                    await self.round(provider)
            await asyncio.sleep(self._seconds)

    async def _leads(self, name: str) -> bool:
        async with self._database.transaction() as unit:
            values = {"name": f"inventory/{name}", "seconds": self._seconds * 0.9}
            return await unit.session.scalar(_LEASE, values) is not None

    async def round(self, provider: Provider) -> None:
        """Supervise, list, compare."""
        if isinstance(provider, Supervising):
            await provider.supervise()
        before = utc_now()
        listing = await provider.list_servers()
        async with self._database.transaction() as unit:
            recorded = (await unit.session.execute(_RECORDED, {"provider": provider.name})).all()
        await self._compare_recorded(listing, recorded)
        await self._sweep_unrecorded(provider, listing, recorded, seen_at=before)
        for state, count in Counter(server.state for server in listing.servers).items():
            SERVERS.labels(provider.name, state).set(count)

    async def _compare_recorded(self, listing: Listing, recorded: Any) -> None:
        """A server that is recorded but not listed is gone, if the listing is a verdict at all."""
        listed = {server.server_id: server for server in listing.servers}
        for row in recorded:
            if row.destroyed_at is not None or row.accepted_at is None or row.busy:
                continue
            server = listed.get(row.id)
            if server is None and listing.complete and listing.servers:
                server = _missing(row)
            if server is not None:
                await self._see(row, server)

    async def _see(self, row: Any, server: Server) -> None:
        async with self._database.transaction() as unit:
            current = (await unit.session.execute(_LOCK_ROW, {"id": row.id})).one_or_none()
            if current is None:
                return
            await servers.seen(unit, server)
            if current.state != server.state or (server.state == ServerState.ERROR and current.detail != server.detail):
                _emit_change(unit, row, server, previous=current.state)

    async def _sweep_unrecorded(
        self, provider: Provider, listing: Listing, recorded: Any, *, seen_at: datetime
    ) -> None:
        """A labelled server that no row knows as live is an orphan: reported when found, removed when it stays one."""
        live = {row.id for row in recorded if row.destroyed_at is None}
        for server in listing.servers:
            if server.server_id in live:
                continue
            first_found = await self._note_orphan(provider, server)
            if seen_at - first_found >= ORPHAN_AGE and not await self._is_recorded(server.server_id):
                await self._remove_orphan(provider, server)

    async def _note_orphan(self, provider: Provider, server: Server) -> datetime:
        async with self._database.transaction() as unit:
            values = {"id": server.server_id, "provider": provider.name, "ref": server.provider_ref}
            row = (await unit.session.execute(_ORPHAN, values)).one()
            if row.first_seen:
                ORPHANS.labels(provider.name).inc()
                log.warning("orphan.found", provider=provider.name, server_id=str(server.server_id))
                event = OrphanFound(provider=provider.name, resource="server", provider_ref=server.provider_ref)
                unit.outbox.add(event, key=server.server_id)
            return row.found_at

    async def _is_recorded(self, server_id: UUID) -> bool:
        async with self._database.transaction() as unit:
            return (await unit.session.execute(_LOCK_ROW, {"id": server_id})).one_or_none() is not None

    async def _remove_orphan(self, provider: Provider, server: Server) -> None:
        await provider.destroy(server.server_id)
        async with self._database.transaction() as unit:
            await unit.session.execute(_REMOVED, {"id": server.server_id})
            event = OrphanRemoved(provider=provider.name, resource="server", provider_ref=server.provider_ref)
            unit.outbox.add(event, key=server.server_id)


def _missing(row: Any) -> Server:
    return Server(
        server_id=row.id,
        instance_id=row.instance_id,
        provider_ref=str(row.id),
        state=ServerState.GONE,
        detail="The server was removed outside the platform.",
    )


def _emit_change(unit: UnitOfWork, row: Any, server: Server, *, previous: str) -> None:
    event = ServerStateChanged(
        server_id=row.id,
        state=PublishedState(server.state),
        previous=PublishedState(previous),
        detail=server.detail,
        observed_at=utc_now(),
        restarts=server.restarts,
    )
    unit.outbox.add(event, key=row.instance_id, account_id=row.account_id)
    log.info("server.state_changed", server_id=str(row.id), state=server.state, previous=previous)

"""The inventory loop: what the provider says of every server, compared with what is recorded, from both sides (law 7)."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text

from clawdeploy_common.clock import utc_now
from clawdeploy_common.database import Database
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.lifecycle import ServerState as PublishedState
from clawdeploy_events.lifecycle import ServerStateChanged
from clawdeploy_provisioner import servers
from clawdeploy_provisioner.metrics import SERVERS
from clawdeploy_provisioner.providers.protocol import Listing, Provider, Rented, Server, ServerState, Supervising
from clawdeploy_provisioner.sweep import Sweep

log = structlog.get_logger()

_LEASE = text(
    """
    INSERT INTO loop_leases (name, lease_until) VALUES (:name, clock_timestamp() + make_interval(secs => :seconds))
    ON CONFLICT (name) DO UPDATE SET lease_until = excluded.lease_until WHERE loop_leases.lease_until < clock_timestamp()
    RETURNING name
    """
)
_RECORDED = text(
    """
    SELECT s.id, s.instance_id, s.account_id, s.accepted_at, s.provider_ref
    FROM servers s WHERE s.provider = :provider AND s.destroyed_at IS NULL
    """
)
_LOCK_ROW = text(
    """
    SELECT state, detail FROM servers s
    WHERE id = :id AND destroyed_at IS NULL AND abandoned_at IS NULL AND (observed_at IS NULL OR observed_at < :seen_at)
      AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.instance_id = s.instance_id AND o.state IN ('running', 'compensating'))
    FOR UPDATE
    """
)
_SWEPT = text(
    """
    INSERT INTO sweeps (provider, swept_at) VALUES (:provider, clock_timestamp())
    ON CONFLICT (provider) DO UPDATE SET swept_at = excluded.swept_at
    """
)
_ROUNDS = 2
"""How many listings in a row must miss a rented server before it is looked up by its number."""


class Inventory:
    """One loop per provider; of several provisioners one does a round."""

    def __init__(
        self,
        database: Database,
        providers: Mapping[str, Provider],
        *,
        sweep: Sweep,
        seconds: float,
        intervals: Mapping[str, float] | None = None,
    ) -> None:
        self._database = database
        self._providers = providers
        self._sweep = sweep
        self._absent: Counter[UUID] = Counter()
        self._seconds = seconds
        self._intervals = intervals or {}

    async def run(self) -> None:
        """Work until cancelled; a provider that is away holds up no other."""
        while True:
            for provider in self._providers.values():
                try:
                    if await self._leads(provider):
                        await self.round(provider)
                except Exception as error:  # noqa: BLE001 - the provider or the database is away: next time
                    log.warning("inventory.failed", provider=provider.name, error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(self._seconds)

    async def _leads(self, provider: Provider) -> bool:
        """Whether this round is ours and due: a local listing costs nothing, a cloud's is a call of its rate limit."""
        seconds = self._intervals.get(provider.name, self._seconds)
        async with self._database.transaction() as unit:
            values = {"name": f"inventory/{provider.name}", "seconds": seconds * 0.9}
            return await unit.session.scalar(_LEASE, values) is not None

    async def round(self, provider: Provider) -> None:
        """Supervise, list, compare: what was recorded before the listing is judged by it, no newer server is."""
        if isinstance(provider, Supervising):
            await provider.supervise()
        async with self._database.transaction() as unit:
            recorded = (await unit.session.execute(_RECORDED, {"provider": provider.name})).all()
        seen_at = utc_now()
        listing = await provider.list_servers()
        await self._compare_recorded(provider, listing, recorded, seen_at)
        await self._sweep.round(provider, listing, {row.id: row.provider_ref for row in recorded})
        async with self._database.transaction() as unit:
            await unit.session.execute(_SWEPT, {"provider": provider.name})
        counts = Counter(server.state for server in listing.servers)
        for state in ServerState:
            SERVERS.labels(provider.name, state).set(counts[state])

    async def _compare_recorded(self, provider: Provider, listing: Listing, recorded: Any, seen_at: datetime) -> None:
        """A server that is recorded but not listed is gone, if the listing is a verdict at all and a look at the server itself agrees."""
        listed = {server.server_id: server for server in listing.servers}
        for row in recorded:
            if row.accepted_at is None:
                continue
            server = listed.get(row.id)
            if server is None and listing.complete and listing.servers and await self._is_gone(provider, row):
                server = _missing(row)
            if server is not None:
                self._absent.pop(row.id, None)
                await self._see(row, server, seen_at)

    async def _is_gone(self, provider: Provider, row: Any) -> bool:
        """A rented server is gone when two rounds in a row miss it and its own number is not known any more."""
        if not isinstance(provider, Rented):
            return True
        self._absent[row.id] += 1
        return self._absent[row.id] >= _ROUNDS and not await provider.holds(row.provider_ref)

    async def _see(self, row: Any, server: Server, seen_at: datetime) -> None:
        """Record what was seen, unless an operation works on the server or has seen it since."""
        async with self._database.transaction() as unit:
            current = (await unit.session.execute(_LOCK_ROW, {"id": row.id, "seen_at": seen_at})).one_or_none()
            if current is None:
                return
            await servers.seen(unit, server)
            if current.state != server.state or (server.state == ServerState.ERROR and current.detail != server.detail):
                _emit_change(unit, row, server, previous=current.state)


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

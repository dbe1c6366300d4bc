"""The drainer: applies parked events in order per key when their time has come (law 3)."""

import asyncio
from typing import Any

import structlog
from sqlalchemy import text

from clawdeploy_common import parking, progress
from clawdeploy_common.database import Database
from clawdeploy_common.events import Position
from clawdeploy_common.handlers import PROJECTOR, REACTOR, Kind
from clawdeploy_common.inbox import Inbox, share_projections
from clawdeploy_common.metrics import OLDEST_PARKED, PARKED_EVENTS
from clawdeploy_common.outages import is_outage
from clawdeploy_common.records import record_from_row
from clawdeploy_common.work import UnitOfWork

log = structlog.get_logger()

_COUNTS = text(
    """
    SELECT k.kind, s.state, count(p.id) AS events,
           coalesce(extract(epoch FROM clock_timestamp() - min(p.parked_at)), 0) AS oldest
    FROM (VALUES ('projector'), ('reactor')) AS k(kind) CROSS JOIN (VALUES ('parked'), ('dead')) AS s(state)
    LEFT JOIN parked_events p ON p.kind = k.kind AND p.state = s.state
    GROUP BY k.kind, s.state
    """
)


class Drainer:
    """Looks at due keys every second; a key's events are applied until one fails or is not the next."""

    def __init__(self, database: Database, inbox: Inbox, *, poll_seconds: float = 1.0) -> None:
        self._database = database
        self._inbox = inbox
        self._poll_seconds = poll_seconds

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self.drain()
            await self._measure()
            await asyncio.sleep(self._poll_seconds)

    async def drain(self) -> None:
        """Go once through all due keys."""
        for kind in (PROJECTOR, REACTOR):
            async with self._database.transaction() as unit:
                positions = await parking.due(unit.session, kind)
            for position in positions:
                await self._drain_key(kind, position)

    async def _drain_key(self, kind: Kind, position: Position) -> None:
        while await self._apply_head(kind, position):
            pass

    async def _apply_head(self, kind: Kind, position: Position) -> bool:
        async with self._database.transaction() as unit:
            await share_projections(unit)
            return await apply_head(self._inbox, unit, kind, position)

    async def _measure(self) -> None:
        async with self._database.connection() as connection:
            rows = (await connection.execute(_COUNTS)).all()
        for row in rows:
            PARKED_EVENTS.labels(row.kind, row.state).set(row.events)
        OLDEST_PARKED.set(max(float(row.oldest) for row in rows))


async def apply_head(
    inbox: Inbox, unit: UnitOfWork, kind: Kind, position: Position, *, gaps_at_once: bool = False
) -> bool:
    """Apply, drop or postpone the first parked event of a key; True when the next one is worth a look.

    ``gaps_at_once``: what only waited for those before it is applied whatever its time.
    """
    last = (await progress.lock(unit.session, [kind], [position]))[kind][position]
    row = await parking.head(unit.session, kind, position, last=last)
    if row is None:
        return False
    if row.state == "dead" or (row.waits and not (gaps_at_once and row.reason == "gap")):
        await parking.hush(unit.session, row)
        return False
    if row.version > last + 1:
        await parking.postpone(unit.session, row, parking.GAP_RECHECK)
        return False
    if row.state == "dropped":
        await parking.advance_over_dropped(unit.session, kind, position)
        return True
    return await _apply(inbox, unit, kind, row)


async def _apply(inbox: Inbox, unit: UnitOfWork, kind: Kind, row: Any) -> bool:
    try:
        async with unit.session.begin_nested():
            await inbox.retry(unit, kind, record_from_row(row))
            await unit.flush()
    except Exception as error:
        if is_outage(error):
            raise
        unit.discard()
        log.warning("event.retry_failed", kind=kind, parked_id=str(row.id), error=parking.describe(error))
        await parking.failed(unit.session, row, error)
        return False
    await parking.remove(unit.session, row)
    await progress.write(unit.session, {kind: {(row.source, row.key): row.version}})
    return True

"""Applying records: once, in order per key, in one transaction per batch (laws 2 and 3)."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import groupby

import structlog
from sqlalchemy import text

from clawdeploy_common import parking, progress, tracing
from clawdeploy_common.database import Database
from clawdeploy_common.errors import HandlerFault, PermanentError, Unreadable
from clawdeploy_common.events import Envelope
from clawdeploy_common.handlers import PROJECTOR, REACTOR, Kind, Projectors, Reactors, Received
from clawdeploy_common.metrics import EVENTS_APPLIED, EVENTS_DROPPED, EVENTS_PARKED
from clawdeploy_common.outages import is_outage
from clawdeploy_common.progress import Position
from clawdeploy_common.records import Record
from clawdeploy_common.work import Projection, UnitOfWork

log = structlog.get_logger()

REPLAY_LOCK = 0x636C6177  # "claw": held shared by projectors, exclusively by a replay
_SHARED = text("SELECT pg_advisory_xact_lock_shared(:lock, hashtext(current_schema()))")


async def share_projections(unit: UnitOfWork) -> None:
    """Hold off replays of this service until the transaction ends."""
    await unit.session.execute(_SHARED, {"lock": REPLAY_LOCK})


class Inbox:
    """Applies records to a service's projectors and reactors."""

    def __init__(self, database: Database, *, projectors: Projectors, reactors: Reactors) -> None:
        self._database = database
        self._projectors = projectors
        self.reactors = reactors

    async def receive(self, records: Sequence[Record]) -> None:
        """Apply a batch; returns when every record is applied, dropped or parked.

        Raises only when the database is out of reach, in which case nothing was recorded and the batch must be offered again.
        """
        facts = [record for record in records if not record.is_tick]
        try:
            async with self._database.transaction() as unit:
                await self._apply(unit, facts, self._in_bulk)
        except Exception as error:
            if is_outage(error):
                raise
            log.warning("batch.redone_one_by_one", records=len(facts), error=parking.describe(error))
            async with self._database.transaction() as unit:
                await self._apply(unit, facts, self._one_by_one)

    async def retry(self, unit: UnitOfWork, kind: Kind, record: Record) -> None:
        """Apply one parked record in the caller's transaction; raises what its handler raises."""
        await self._handle(unit, kind, [record])

    async def replay(self, unit: UnitOfWork, records: Sequence[Record]) -> None:
        """Apply records to the projectors only, in the caller's transaction."""
        facts = [record for record in records if record.envelope is not None]
        try:
            async with unit.session.begin_nested():
                await self._apply_kind(unit, PROJECTOR, facts, self._in_bulk)
        except Exception as error:
            if is_outage(error):
                raise
            await self._apply_kind(unit, PROJECTOR, facts, self._one_by_one)

    async def _apply(self, unit: UnitOfWork, records: Sequence[Record], how: "Manner") -> None:
        await share_projections(unit)
        for record in records:
            if record.envelope is None:
                await self._park(unit, REACTOR, record, reason="unreadable")
        for kind in (PROJECTOR, REACTOR):
            await self._apply_kind(unit, kind, [r for r in records if r.envelope is not None], how)

    async def _apply_kind(self, unit: UnitOfWork, kind: Kind, records: list[Record], how: "Manner") -> None:
        fresh = await self._not_yet_applied(unit, kind, records)
        if not fresh:
            return
        positions = {position(r) for r in fresh}
        last = await progress.lock(unit.session, kind, positions)
        parked = await parking.versions(unit.session, kind, positions)
        before = dict(last)
        if kind == REACTOR and self.reactors.preparation:
            await self.reactors.preparation([envelope(r) for r in fresh], unit)
        await how(unit, kind, fresh, last, parked)
        await progress.write(unit.session, kind, {p: v for p, v in last.items() if v != before[p]})

    async def _not_yet_applied(self, unit: UnitOfWork, kind: Kind, records: list[Record]) -> list[Record]:
        """Drop what an unlocked look already shows as applied; most of a re-read log ends here."""
        seen = await progress.read(unit.session, kind, {position(r) for r in records}) if records else {}
        fresh = [r for r in records if envelope(r).version > seen.get(position(r), 0)]
        EVENTS_DROPPED.labels(kind).inc(len(records) - len(fresh))
        return fresh

    async def _in_bulk(
        self,
        unit: UnitOfWork,
        kind: Kind,
        records: list[Record],
        last: dict[Position, int],
        parked: parking.Parked,
    ) -> None:
        accepted: list[Record] = []
        for record in records:
            if await self._is_next(unit, kind, record, last, parked):
                last[position(record)] += 1
                accepted.append(record)
        await self._handle(unit, kind, accepted)

    async def _one_by_one(
        self,
        unit: UnitOfWork,
        kind: Kind,
        records: list[Record],
        last: dict[Position, int],
        parked: parking.Parked,
    ) -> None:
        for record in records:
            if not await self._is_next(unit, kind, record, last, parked):
                continue
            try:
                async with unit.session.begin_nested():
                    await self._handle(unit, kind, [record])
                    await unit.flush()
            except Exception as error:
                if is_outage(error):
                    raise
                unit.discard()
                parked[position(record), envelope(record).version] = "parked"
                await self._park(unit, kind, record, reason=reason_of(error), error=error)
            else:
                last[position(record)] += 1

    async def _is_next(
        self, unit: UnitOfWork, kind: Kind, record: Record, last: dict[Position, int], parked: parking.Parked
    ) -> bool:
        """Whether a record is its key's next; duplicates are dropped, records ahead of their turn parked."""
        at, version = position(record), envelope(record).version
        while parked.get((at, last[at] + 1)) == "dropped":
            last[at] += 1
        if version <= last[at] or (at, version) in parked:
            EVENTS_DROPPED.labels(kind).inc()
            return False
        if version == last[at] + 1:
            return True
        waiting = any(p == at and state != "dropped" for (p, _), state in parked.items())
        parked[at, version] = "parked"
        await self._park(unit, kind, record, reason="behind" if waiting else "gap")
        return False

    async def _park(
        self,
        unit: UnitOfWork,
        kind: Kind,
        record: Record,
        *,
        reason: parking.Reason,
        error: BaseException | None = None,
    ) -> None:
        EVENTS_PARKED.labels(kind, reason).inc()
        log.warning(
            "event.parked",
            kind=kind,
            reason=reason,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            type=(record.envelope.type or None) if record.envelope else None,
            key=str(record.envelope.key) if record.envelope else None,
            error=parking.describe(error) if error else record.defect,
        )
        await parking.park(unit.session, kind, record, reason=reason, error=error)

    async def _handle(self, unit: UnitOfWork, kind: Kind, records: Sequence[Record]) -> None:
        for record in records:
            if record.defect is not None:
                raise Unreadable(record.defect)
        try:
            await (self._project(unit, records) if kind == PROJECTOR else self._react(unit, records))
        except (TimeoutError, ConnectionError) as error:  # the handler's own: SQLAlchemy's are other classes
            raise HandlerFault(parking.describe(error)) from error
        EVENTS_APPLIED.labels(kind).inc(len(records))

    async def _project(self, unit: UnitOfWork, records: Sequence[Record]) -> None:
        projection = Projection(unit.session)
        for wave in waves(records):
            for event_type, group in groupby(sorted(wave, key=lambda e: e.type), key=lambda e: e.type):
                found = self._projectors.handlers.get(event_type)
                if found:
                    event_class, handler = found
                    received = [Received(e.read(event_class), e) for e in group]
                    with tracing.consuming([r.envelope for r in received], by=PROJECTOR):
                        await handler(received, projection)

    async def _react(self, unit: UnitOfWork, records: Sequence[Record]) -> None:
        for record in records:
            if self.reactors.every or envelope(record).type in self.reactors.handlers:
                with tracing.consuming([envelope(record)], by=REACTOR):
                    await self._react_to(envelope(record), unit.caused_by(envelope(record)))

    async def _react_to(self, event: Envelope, unit: UnitOfWork) -> None:
        if self.reactors.every:
            await self.reactors.every(event, unit)
        found = self.reactors.handlers.get(event.type)
        if found:
            event_class, handler = found
            await handler(event.read(event_class), unit)


Manner = Callable[[UnitOfWork, Kind, list[Record], dict[Position, int], parking.Parked], Awaitable[None]]


def waves(records: Iterable[Record]) -> list[list[Envelope]]:
    """Split records into waves that hold each key once; order per key is kept from wave to wave."""
    depth: dict[Position, int] = {}
    result: list[list[Envelope]] = []
    for record in records:
        at = depth.get(position(record), 0)
        depth[position(record)] = at + 1
        if at == len(result):
            result.append([])
        result[at].append(envelope(record))
    return result


def position(record: Record) -> Position:
    """The stream a record belongs to."""
    found = envelope(record)
    return found.source, found.key


def envelope(record: Record) -> Envelope:
    """The envelope of a record that has one."""
    if record.envelope is None:
        raise ValueError("the record has no envelope")
    return record.envelope


def reason_of(error: BaseException) -> parking.Reason:
    """Whether trying again can help."""
    if isinstance(error, Unreadable):
        return "unreadable"
    return "permanent" if isinstance(error, PermanentError) else "failed"

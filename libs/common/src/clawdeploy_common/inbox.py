"""Applying records: once, in order per key, in one transaction per batch (laws 2 and 3)."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from itertools import groupby

import structlog
from sqlalchemy import text

from clawdeploy_common import parking, progress, tracing
from clawdeploy_common.database import Database
from clawdeploy_common.errors import HandlerFault, PermanentError, Unreadable
from clawdeploy_common.events import Envelope, Position
from clawdeploy_common.handlers import PROJECTOR, REACTOR, Kind, Projectors, Reactors, Received
from clawdeploy_common.metrics import EVENTS_APPLIED, EVENTS_DROPPED, EVENTS_PARKED
from clawdeploy_common.outages import is_outage
from clawdeploy_common.records import Record
from clawdeploy_common.turns import Turns
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
        facts = [record for record in records if record.version]
        try:
            async with unit.session.begin_nested():
                await self._apply_to(unit, (PROJECTOR,), facts, self._in_bulk)
        except Exception as error:
            if is_outage(error):
                raise
            await self._apply_to(unit, (PROJECTOR,), facts, self._one_by_one)

    async def _apply(self, unit: UnitOfWork, records: Sequence[Record], how: "Manner") -> None:
        await share_projections(unit)
        for record in records:
            if not record.version:
                await self._park(unit, REACTOR, record, reason="unreadable")
        await self._apply_to(unit, (PROJECTOR, REACTOR), [record for record in records if record.version], how)

    async def _apply_to(
        self, unit: UnitOfWork, kinds: Collection[Kind], records: Sequence[Record], how: "Manner"
    ) -> None:
        """Both kinds lock and write their progress together: a batch costs as many statements as one kind would."""
        if not records:
            return
        last = await progress.lock(unit.session, kinds, {record.position for record in records})
        fresh: dict[Kind, list[Record]] = {kind: _not_yet_applied(kind, records, last[kind]) for kind in kinds}
        touched = {record.position for found in fresh.values() for record in found}
        if not touched:
            return
        parked = await parking.versions(unit.session, kinds, touched)
        turns: dict[Kind, Turns] = {kind: Turns(last[kind], parked[kind]) for kind in kinds}
        for kind, found in fresh.items():
            if kind == REACTOR and found and self.reactors.preparation:
                await self.reactors.preparation([envelope(record) for record in found], unit)
            await how(unit, kind, found, turns[kind])
        await progress.write(unit.session, {kind: turn.moved for kind, turn in turns.items()})

    async def _in_bulk(self, unit: UnitOfWork, kind: Kind, records: Sequence[Record], turns: Turns) -> None:
        accepted: list[Record] = []
        for record in records:
            if await self._is_next(unit, kind, record, turns):
                turns.advance(record)
                accepted.append(record)
        await self._handle(unit, kind, accepted)

    async def _one_by_one(self, unit: UnitOfWork, kind: Kind, records: Sequence[Record], turns: Turns) -> None:
        for record in records:
            if not await self._is_next(unit, kind, record, turns):
                continue
            try:
                async with unit.session.begin_nested():
                    await self._handle(unit, kind, [record])
                    await unit.flush()
            except Exception as error:
                if is_outage(error):
                    raise
                unit.discard()
                turns.park(record)
                await self._park(unit, kind, record, reason=reason_of(error), error=error)
            else:
                turns.advance(record)

    async def _is_next(self, unit: UnitOfWork, kind: Kind, record: Record, turns: Turns) -> bool:
        """Whether a record is its key's next; duplicates are dropped, records ahead of their turn parked."""
        turn = turns.of(record)
        if turn == "done":
            EVENTS_DROPPED.labels(kind).inc()
        elif turn != "next":
            turns.park(record)
            await self._park(unit, kind, record, reason=turn)
        return turn == "next"

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
        except (TimeoutError, ConnectionError) as error:  # the handler's own: the database's are other classes
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
        for event in map(envelope, records):
            if self.reactors.every or event.type in self.reactors.handlers:
                with tracing.consuming([event], by=REACTOR):
                    await self._react_to(event, unit.caused_by(event))

    async def _react_to(self, event: Envelope, unit: UnitOfWork) -> None:
        if self.reactors.every:
            await self.reactors.every(event, unit)
        found = self.reactors.handlers.get(event.type)
        if found:
            event_class, handler = found
            await handler(event.read(event_class), unit)


Manner = Callable[[UnitOfWork, Kind, Sequence[Record], Turns], Awaitable[None]]


def _not_yet_applied(kind: Kind, records: Sequence[Record], last: dict[Position, int]) -> list[Record]:
    """Drop what was applied before; a log that is read again ends here, with nothing but its places read."""
    fresh = [record for record in records if record.version > last[record.position]]
    EVENTS_DROPPED.labels(kind).inc(len(records) - len(fresh))
    return fresh


def waves(records: Iterable[Record]) -> list[list[Envelope]]:
    """Split records into waves that hold each key once; order per key is kept from wave to wave."""
    depth: dict[Position, int] = {}
    result: list[list[Envelope]] = []
    for record in records:
        at = depth.get(record.position, 0)
        depth[record.position] = at + 1
        if at == len(result):
            result.append([])
        result[at].append(envelope(record))
    return result


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

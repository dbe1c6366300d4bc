"""Replay: throw a service's projections away and build them again from the log, in one transaction (law 4)."""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from sqlalchemy import MetaData, text

from clawdeploy_common.database import Database
from clawdeploy_common.drainer import apply_head
from clawdeploy_common.errors import LogIncomplete, TemporaryError
from clawdeploy_common.events import Position
from clawdeploy_common.handlers import PROJECTOR
from clawdeploy_common.inbox import REPLAY_LOCK, Inbox
from clawdeploy_common.records import Record
from clawdeploy_common.settings import ServiceSettings
from clawdeploy_common.tables import projections_of
from clawdeploy_common.work import UnitOfWork

log = structlog.get_logger()

_EXCLUSIVE = text("SELECT pg_advisory_xact_lock(:lock, hashtext(current_schema()))")
_VERSIONS = text("SELECT source, key, version FROM progress WHERE kind = 'projector' AND version > 0")
_PARKED = text("SELECT DISTINCT source, key FROM parked_events WHERE kind = 'projector' AND state <> 'dropped'")
_AHEAD = text("SELECT DISTINCT source, key FROM parked_events WHERE kind = 'projector' AND state = 'parked'")
_FORGET_PROGRESS = text("DELETE FROM progress WHERE kind = 'projector'")
_FORGET_PARKED = text("DELETE FROM parked_events WHERE kind = 'projector' AND state <> 'dropped'")

_SILENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did: events applied, and seconds it took."""

    events: int
    seconds: float


class Replay:
    """Rebuilds the projections of one service; readers see the old state until the new one commits."""

    def __init__(
        self, database: Database, settings: ServiceSettings, inbox: Inbox, *, topics: Sequence[str], metadata: MetaData
    ) -> None:
        self._database = database
        self._settings = settings
        self._inbox = inbox
        self._topics = topics
        self._metadata = metadata

    async def run(self) -> Replayed:
        """Rebuild; raises LogIncomplete, changing nothing, when the log ends before what had been applied."""
        started = time.monotonic()
        events = 0
        async with self._database.transaction() as unit:
            await unit.session.execute(_EXCLUSIVE, {"lock": REPLAY_LOCK})
            before = await _versions(unit)
            await self._empty(unit)
            try:
                async for records in self._log():
                    await self._inbox.replay(unit, records)
                    events += len(records)
            except KafkaError as error:
                raise TemporaryError("the broker does not answer", retry_after=10) from error
            await self._fill_gaps(unit)
            await _check(unit, before)
        seconds = time.monotonic() - started
        log.info("projections.replayed", events=events, seconds=round(seconds, 3))
        return Replayed(events, seconds)

    async def _empty(self, unit: UnitOfWork) -> None:
        for table in projections_of(self._metadata):
            await unit.session.execute(text(f'DELETE FROM "{table.name}"'))  # noqa: S608 - a name of our own metadata
        await unit.session.execute(_FORGET_PROGRESS)
        await unit.session.execute(_FORGET_PARKED)

    async def _fill_gaps(self, unit: UnitOfWork) -> None:
        """A log that was written anew may begin with events ahead of their turn: by its end their turn has come."""
        for row in (await unit.session.execute(_AHEAD)).all():
            while await apply_head(self._inbox, unit, PROJECTOR, (row.source, row.key), gaps_at_once=True):
                pass

    async def _log(self) -> AsyncIterator[list[Record]]:
        """The whole log of all topics, to the high-water marks of its partitions."""
        if not self._topics:
            return
        consumer: Any = AIOKafkaConsumer(
            *self._topics,
            bootstrap_servers=self._settings.kafka_bootstrap_servers,
            group_id=None,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=min(100, self._settings.kafka_fetch_max_wait_ms),
        )
        try:
            await consumer.start()
            partitions = sorted(consumer.assignment())
            _check_topics(self._topics, partitions)
            async for records in _read_to_end(consumer, partitions):
                yield records
        finally:
            await consumer.stop()


async def _versions(unit: UnitOfWork) -> dict[Position, int]:
    return {(row.source, row.key): row.version for row in await unit.session.execute(_VERSIONS)}


async def _check(unit: UnitOfWork, before: dict[Position, int]) -> None:
    after = await _versions(unit)
    missing = [at for at, version in before.items() if after.get(at, 0) < version]
    parked = {(row.source, row.key) for row in await unit.session.execute(_PARKED)}
    failing = [at for at in missing if at in parked]
    if failing:
        raise TemporaryError(f"events of {len(failing)} streams that had been applied fail now; nothing was changed")
    if missing:
        raise LogIncomplete(f"{len(missing)} streams end earlier in the log than what had been applied", retry_after=5)


def _check_topics(topics: Sequence[str], partitions: Sequence[TopicPartition]) -> None:
    absent = set(topics) - {at.topic for at in partitions}
    if absent:
        raise LogIncomplete(f"the broker does not have {', '.join(sorted(absent))}", retry_after=5)


async def _read_to_end(consumer: Any, partitions: Sequence[TopicPartition]) -> AsyncIterator[list[Record]]:
    """Batches up to where the partitions ended when they were first heard of: what comes later is the consumers'."""
    heard = time.monotonic()
    ends: dict[TopicPartition, int] = {}
    while True:
        batches = await consumer.getmany(timeout_ms=100, max_records=2000)
        records = [
            Record(topic=r.topic, partition=r.partition, offset=r.offset, headers=r.headers, payload=r.value)
            for batch in batches.values()
            for r in batch
        ]
        if records:
            heard = time.monotonic()
            yield [record for record in records if not record.is_tick]
        elif time.monotonic() - heard > _SILENCE_S:
            raise TemporaryError("the broker stopped answering in the middle of the log", retry_after=10)
        for at in partitions:
            if at not in ends and consumer.highwater(at) is not None:
                ends[at] = consumer.highwater(at)
        if len(ends) == len(partitions) and not [at for at, end in ends.items() if await consumer.position(at) < end]:
            return

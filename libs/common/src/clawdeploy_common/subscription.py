"""Consuming: one raw batch subscriber per topic; offsets are committed after the database did (architecture §4)."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaMessage
from sqlalchemy import text

from clawdeploy_common.database import Database
from clawdeploy_common.inbox import Inbox
from clawdeploy_common.kafka import connected, ensure_topic
from clawdeploy_common.metrics import CONSUMER_LAG, LAST_TICK
from clawdeploy_common.records import Record
from clawdeploy_common.settings import ServiceSettings

log = structlog.get_logger()

MAX_RECORDS = 500
COMMIT_TIMEOUT_S = 2.0
_EPOCHS = text("SELECT partition, log_epoch FROM consumed_epochs WHERE topic = :topic")
_STORE_EPOCHS = text(
    """
    INSERT INTO consumed_epochs (topic, partition, log_epoch)
    SELECT :topic, i.partition, i.epoch FROM unnest(CAST(:partitions AS int[]), CAST(:epochs AS int[])) AS i(partition, epoch)
    ORDER BY i.partition
    ON CONFLICT (topic, partition) DO UPDATE SET log_epoch = greatest(consumed_epochs.log_epoch, excluded.log_epoch)
    """
)


class Subscription:
    """One service's reading of one topic.

    A batch is done when the database committed it. Kafka learns of it a second later at most: what comes again is dropped.
    """

    def __init__(self, database: Database, settings: ServiceSettings, inbox: Inbox, *, topic: str) -> None:
        self._database = database
        self._settings = settings
        self._inbox = inbox
        self._topic = topic
        self._subscriber: Any = None
        self._epochs: dict[int, int] = {}
        self._applied: dict[TopicPartition, int] = {}
        self.connected = False

    async def run(self) -> None:
        """Consume until cancelled; a broker that is away is tried again."""
        delay = 0.2
        while True:
            broker = self._broker()
            try:
                await ensure_topic(self._settings, self._topic)
                await connected(broker.start())
                self.connected, delay = True, 0.2
                await self._watch()
            except Exception as error:  # noqa: BLE001 - the broker is expected to come back
                log.warning(
                    "subscription.interrupted",
                    topic=self._topic,
                    error=f"{type(error).__name__}: {error}",
                    retry_s=delay,
                )
            finally:
                self.connected = False
                await self._commit()
                self._applied.clear()
                await broker.stop()
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5.0)

    def _broker(self) -> KafkaBroker:
        broker = KafkaBroker(
            self._settings.kafka_bootstrap_servers,
            allow_auto_create_topics=False,
            metadata_max_age_ms=5_000,
            apply_types=False,
            consumer_only=True,
            logger=None,
            graceful_timeout=5,
        )
        self._subscriber = broker.subscriber(
            self._topic,
            batch=True,
            group_id=f"clawdeploy.{self._database.producer}.{self._topic}",
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.MANUAL,
            fetch_max_wait_ms=self._settings.kafka_fetch_max_wait_ms,
            session_timeout_ms=self._settings.kafka_session_timeout_ms,
            heartbeat_interval_ms=min(3_000, self._settings.kafka_session_timeout_ms // 4),
            max_records=MAX_RECORDS,
            batch_timeout_ms=self._settings.kafka_fetch_max_wait_ms,
            parser=self._parse,
            decoder=_decode,
        )
        self._subscriber(self._receive)
        return broker

    async def _parse(self, raw: tuple[ConsumerRecord[bytes, bytes], ...]) -> KafkaMessage:
        """Wrap without reading anything: a header that is not UTF-8 must not lose the batch."""
        return KafkaMessage(body=b"", raw_message=raw, consumer=self._subscriber.consumer)

    async def _receive(self, records: Sequence[Record]) -> None:
        """Apply a batch, however long the database is away; then commit. A log written anew is read from its beginning."""
        delay = 0.1
        while True:
            try:
                current = await self._seek_where_log_is_new(records)
                await self._inbox.receive(current)
            except Exception as error:  # noqa: BLE001 - only outages come here; the batch waits until the database is back
                log.warning(
                    "batch.waiting",
                    topic=self._topic,
                    error=f"{type(error).__name__}: {str(error)[:200]}",
                    retry_s=delay,
                )
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5.0)
                continue
            self._note_ticks(records)
            self._applied.update({TopicPartition(self._topic, r.partition): r.offset + 1 for r in current})
            return

    async def _seek_where_log_is_new(self, records: Sequence[Record]) -> list[Record]:
        """Partitions with a higher epoch than ever seen are read from their beginning; returns the records that count."""
        highest: dict[int, int] = {}
        first: dict[int, int] = {}
        for record in records:
            highest[record.partition] = max(record.log_epoch, highest.get(record.partition, 0))
            first.setdefault(record.partition, record.offset)
        if all(epoch <= self._epochs.get(p, 0) for p, epoch in highest.items()):  # what is remembered only ever rises
            return list(records)
        async with self._database.connection() as connection:
            rows = await connection.execute(_EPOCHS, {"topic": self._topic})
            self._epochs = {row.partition: row.log_epoch for row in rows}
        risen = {p: e for p, e in highest.items() if e > self._epochs.get(p, 0)}
        back = {partition for partition in risen if first[partition] > 0}  # the others are at their beginning
        await self._from_beginning(risen, back)
        return [record for record in records if record.partition not in back]

    async def _from_beginning(self, risen: dict[int, int], back: set[int]) -> None:
        """Commit offset 0, seek, and only then remember the epochs: a crash in between does it again."""
        consumer = self._subscriber.consumer
        assigned = {at.partition: at for at in consumer.assignment()}
        risen = {p: e for p, e in risen.items() if p in assigned}  # another replica will see the epoch itself
        if not risen:
            return
        for partition in risen:
            self._applied.pop(assigned[partition], None)
        await consumer.commit({assigned[partition]: 0 for partition in risen})
        if again := [assigned[partition] for partition in risen if partition in back]:
            log.warning(
                "log.read_again", topic=self._topic, partitions=sorted(back), log_epochs=sorted(set(risen.values()))
            )
            await consumer.seek_to_beginning(*again)
        values = {"topic": self._topic, "partitions": list(risen), "epochs": list(risen.values())}
        async with self._database.connection() as connection:
            await connection.execute(_STORE_EPOCHS, values)

    async def _commit(self) -> None:
        """Tell Kafka how far we are; only a hint, so it is told now and then, and a refusal (a rebalance, a broker gone) is no error."""
        consumer = self._subscriber.consumer
        applied, self._applied = self._applied, {}
        try:
            offsets = {at: offset for at, offset in applied.items() if at in consumer.assignment()}
            if offsets:
                async with asyncio.timeout(COMMIT_TIMEOUT_S):  # without a coordinator it would wait for one
                    await consumer.commit(offsets)
        except Exception as error:  # noqa: BLE001 - progress rows decide, not offsets
            log.info("offsets.not_committed", topic=self._topic, error=f"{type(error).__name__}: {error}")

    def _note_ticks(self, records: Sequence[Record]) -> None:
        times = [record.time for record in records if record.is_tick]
        if times:
            with suppress(ValueError):
                LAST_TICK.labels(self._topic).set(datetime.fromisoformat(max(times)).timestamp())

    async def _watch(self) -> None:
        """Commit offsets and measure the lag while the subscriber works; raises when its task has ended."""
        while True:
            await asyncio.sleep(1)
            await self._commit()
            for at in self._subscriber.consumer.assignment():
                await self._measure(at)
            if all(task.done() for task in self._subscriber.tasks):
                raise RuntimeError("the consume loop ended")

    async def _measure(self, at: TopicPartition) -> None:
        """Say how far behind a partition we are. A place beyond its end is of a log that is gone, and not every broker says so: then
        what is there is read from its beginning.
        """
        consumer = self._subscriber.consumer
        end = consumer.highwater(at)
        if end is None:
            return
        position = await consumer.position(at)
        CONSUMER_LAG.labels(at.topic, at.partition).set(max(0, end - position))
        if position > end:
            log.warning("log.shorter", topic=at.topic, partition=at.partition, position=position, end=end)
            self._applied.pop(at, None)
            await consumer.seek_to_beginning(at)


async def _decode(message: KafkaMessage) -> list[Record]:
    raw: Any = message.raw_message
    return [
        Record(topic=r.topic, partition=r.partition, offset=r.offset, headers=r.headers, payload=r.value) for r in raw
    ]

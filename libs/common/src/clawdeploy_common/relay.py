"""The relay: the sole writer of a service's topic (laws 1 and 5).

Each round is one transaction on one connection: take the lock, read unpublished rows in id order, publish, mark, commit. An
acknowledged offset that is not above the stored one proves that the log lost its tail; then the epoch rises and everything is
published again, in order.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from sqlalchemy import ARRAY, BigInteger, Integer, bindparam, text

from clawdeploy_common import tracing
from clawdeploy_common.clock import utc_now
from clawdeploy_common.database import Database
from clawdeploy_common.events import SOURCE_PREFIX, TICK_TYPE, Envelope, topic_of
from clawdeploy_common.kafka import connected, ensure_topic
from clawdeploy_common.metrics import EVENTS_PUBLISHED, LOG_EPOCH
from clawdeploy_common.session import Session
from clawdeploy_common.settings import ServiceSettings
from clawdeploy_common.shipping import MAX_BATCH_BYTES, Acknowledged, Shipped, highest, pack, unpack

log = structlog.get_logger()

BATCH = 500
SEND_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 2.0
TICK_EVERY = timedelta(seconds=30)
_LOCK = 0x72656C61  # "rela"

_TAKE_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock, hashtext(current_schema()))")
_GUARD = text("SET LOCAL idle_in_transaction_session_timeout = '60s'")
_UNPUBLISHED = text(
    """
    SELECT id, event_id, key, version, type, time, account_id, correlation_id, causation_id, traceparent, data
    FROM outbox WHERE published_at IS NULL ORDER BY id LIMIT :batch
    """
)
_RAISE_EPOCH = text(
    """
    INSERT INTO relay_state (singleton, log_epoch) VALUES (1, 1)
    ON CONFLICT (singleton) DO UPDATE SET log_epoch = relay_state.log_epoch + 1 RETURNING log_epoch
    """
)
_STATE = text(  # read when the lock is held: another relay's last round is seen
    """
    SELECT coalesce((SELECT log_epoch FROM relay_state), 0) AS log_epoch,
           (SELECT array_agg(ARRAY[partition, acknowledged_offset]) FROM relay_offsets) AS offsets
    """
)
_SETTLE = text(
    """
    WITH stored AS (
        INSERT INTO relay_offsets (partition, acknowledged_offset) SELECT * FROM unnest(:partitions, :offsets)
        ON CONFLICT (partition) DO UPDATE SET acknowledged_offset = excluded.acknowledged_offset
    )
    UPDATE outbox SET published_at = clock_timestamp() WHERE id = ANY(:ids)
    """
).bindparams(
    bindparam("partitions", type_=ARRAY(Integer)),
    bindparam("offsets", type_=ARRAY(BigInteger)),
    bindparam("ids", type_=ARRAY(BigInteger)),
)
_REPUBLISH = text(
    """
    WITH again AS (UPDATE outbox SET published_at = NULL WHERE published_at IS NOT NULL RETURNING id)
    SELECT count(*) FROM again
    """
)


class LogLost(Exception):
    """Kafka acknowledged an offset that it had acknowledged before: the log's tail is gone."""


class TopicGone(Exception):
    """The broker no longer knows the topic: it was emptied, or is another one."""


class Relay:
    """Publishes the outbox of one service."""

    def __init__(self, database: Database, settings: ServiceSettings) -> None:
        self._database = database
        self._settings = settings
        self._topic = topic_of(database.producer)
        self._source = SOURCE_PREFIX + database.producer
        self._producer: Any = None
        self._ticked_at = utc_now() - TICK_EVERY
        self._tick_partition = 0
        self._republishing = False
        self._failure: BaseException | None = None
        self._connections: list[Any] = []
        self.connected = False

    async def run(self) -> None:
        """Work until cancelled; any failure closes the producer, and a new one starts with ticks on every partition.

        The pause doubles up to five seconds until a round succeeds.
        """
        delay = 0.0
        while True:
            try:
                await self._connect()
                await self._work()
            except Exception as error:  # noqa: BLE001 - broker or database away: both are expected to come back
                delay = 0.2 if self.connected else max(0.2, min(delay * 2, 5.0))
                log.warning(
                    "relay.interrupted", topic=self._topic, error=f"{type(error).__name__}: {error}", retry_s=delay
                )
            finally:
                await self._disconnect()
            await asyncio.sleep(delay)

    async def _connect(self) -> None:
        await ensure_topic(self._settings, self._topic)
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka_bootstrap_servers,
            enable_idempotence=self._settings.kafka_idempotence,
            acks="all",
            linger_ms=0,
            request_timeout_ms=10_000,
            metadata_max_age_ms=5_000,
            max_request_size=1_048_576,
            max_batch_size=MAX_BATCH_BYTES,
        )
        await connected(self._producer.start())
        await self._producer.partitions_for(self._topic)

    async def _disconnect(self) -> None:
        producer, self._producer, self.connected = self._producer, None, False
        if producer is not None:
            with suppress(Exception):
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await producer.stop()
            with suppress(Exception):  # a producer that cannot flush is not stopped by stop()
                await producer._sender.close()
            with suppress(Exception):
                await producer.client.close()

    async def _work(self) -> None:
        fresh, self._failure = True, None
        while True:
            async with self._database.connection() as connection:
                leads = await self._lead(connection)
                published = await self._round(connection, fresh=fresh) if leads else 0
            if self._failure is not None:  # what it leaves behind is committed
                raise self._failure
            self.connected = True
            self._check_topic()
            fresh = (fresh and not leads) or self._reconnected()
            if published < BATCH:
                await self._database.outbox_filled.wait(self._settings.relay_poll_seconds)

    def _check_topic(self) -> None:
        """Notice an emptied broker while there is nothing to send; the producer's metadata are at most five seconds old."""
        if self._producer.client.cluster.partitions_for_topic(self._topic) is None:
            raise TopicGone(self._topic)

    def _reconnected(self) -> bool:
        """Whether a connection was made anew: it may lead to an emptied broker whose topic a consumer has already made again."""
        before, self._connections = self._connections, list(self._producer.client._conns.values())
        return any(connection not in before for connection in self._connections)

    async def _lead(self, connection: Session) -> bool:
        await connection.execute(_GUARD)
        return bool(await connection.scalar(_TAKE_LOCK, {"lock": _LOCK}))

    async def _round(self, connection: Session, *, fresh: bool) -> int:
        """Publish one batch; ``fresh`` is a producer's first round as the leader, which begins with ticks."""
        state = (await connection.execute(_STATE)).one()
        LOG_EPOCH.set(state.log_epoch)
        offsets: dict[int, int] = dict(state.offsets or ())
        try:
            await self._tick(connection, state.log_epoch, offsets, everywhere=fresh)
            published = await self._publish(connection, state.log_epoch, offsets)
            if (
                self._republishing and published < BATCH and self._failure is None
            ):  # consumers at what looks like the log's end see the new epoch too
                await self._tick(connection, state.log_epoch, offsets, everywhere=True)
                self._republishing = False
        except LogLost as lost:
            await self._start_again(connection)
            self._failure = lost  # to connect anew, which makes the topic: a broker may acknowledge what it takes for a topic it forgot
            return 0
        return published

    async def _tick(self, connection: Session, epoch: int, offsets: dict[int, int], *, everywhere: bool) -> None:
        """Prove that the log is there: on every partition of a fresh producer, later on one partition after another."""
        if not everywhere and utc_now() - self._ticked_at < TICK_EVERY:
            return
        partitions = sorted(await self._producer.partitions_for(self._topic))
        chosen = partitions if everywhere else [partitions[self._tick_partition % len(partitions)]]
        self._tick_partition += 1
        self._ticked_at = utc_now()
        headers = [
            ("ce_specversion", b"1.0"),
            ("ce_source", self._source.encode()),
            ("ce_type", TICK_TYPE.encode()),
            ("ce_time", self._ticked_at.isoformat().encode()),
            ("ce_logepoch", str(epoch).encode()),
        ]
        sends = [await self._producer.send(self._topic, b"{}", partition=p, headers=headers) for p in chosen]
        async with asyncio.timeout(SEND_TIMEOUT_S):
            results = await asyncio.gather(*sends)
        ticks = [Acknowledged(result.partition, result.offset, 1) for result in results]
        await self._settle(connection, ticks, offsets, rows=[])

    async def _publish(self, connection: Session, epoch: int, offsets: dict[int, int]) -> int:
        rows = (await connection.execute(_UNPUBLISHED, {"batch": BATCH})).all()
        if not rows:
            return 0
        since_ns = time.time_ns()
        shipped = await self._send(rows, epoch)
        await self._settle(connection, shipped.acknowledged, offsets, rows=shipped.rows)
        EVENTS_PUBLISHED.inc(len(shipped.rows))
        if not self._republishing:
            tracing.published(shipped.rows, topic=self._topic, since_ns=since_ns)
        self._failure = shipped.failure
        return len(rows)

    async def _send(self, rows: Sequence[Any], epoch: int) -> Shipped:
        """Send all rows, then wait."""
        partitions = sorted(await self._producer.partitions_for(self._topic))
        parcels = pack(
            rows, partitions, envelope=lambda row: self._envelope(row, epoch), new_batch=self._producer.create_batch
        )
        async with asyncio.timeout(SEND_TIMEOUT_S):
            sends = [await self._producer.send_batch(p.batch, self._topic, partition=p.partition) for p in parcels]
            results = await asyncio.gather(*sends, return_exceptions=True)
        return unpack(parcels, results)

    async def _settle(
        self,
        connection: Session,
        acknowledged: Sequence[Acknowledged],
        offsets: dict[int, int],
        *,
        rows: Sequence[Any],
    ) -> None:
        """Store the highest offset per partition and mark rows; raises LogLost when an offset is not above what was stored before."""
        found = highest(acknowledged, above=offsets)
        if found is None:
            raise LogLost
        offsets.update(found)
        values = {"partitions": list(found), "offsets": list(found.values()), "ids": [row.id for row in rows]}
        await connection.execute(_SETTLE, values)

    async def _start_again(self, connection: Session) -> None:
        """Raise the epoch, forget the offsets of the lost log, and publish everything again."""
        epoch = await connection.scalar(_RAISE_EPOCH)
        await connection.execute(text("DELETE FROM relay_offsets"))
        again = await connection.scalar(_REPUBLISH)
        self._republishing = True
        log.error("log.lost", topic=self._topic, log_epoch=epoch, republished=again)

    def _envelope(self, row: Any, epoch: int) -> Envelope:
        return Envelope(
            id=row.event_id,
            source=self._source,
            type=row.type,
            key=row.key,
            version=row.version,
            time=row.time,
            account_id=row.account_id,
            correlation_id=row.correlation_id,
            causation_id=row.causation_id,
            log_epoch=epoch,
            traceparent=row.traceparent,
            data=row.data,
        )

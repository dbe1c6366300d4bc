"""Law 5: losing the broker, or the tail of its log, loses nothing."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from sqlalchemy import text
from structlog.testing import capture_logs
from tests.engines.apache_kafka import ApacheKafka
from tests.engines.databases import Database
from tests.engines.wheels import RunningBroker
from tests.integration.machinery.machine import Machine, eventually, settings_for
from tests.integration.machinery.throwaway.events import Counted

from clawdeploy_common import relay
from clawdeploy_common.events import topic_of
from clawdeploy_common.kafka import ensure_topic
from clawdeploy_common.records import Record

KEYS = [uuid4() for _ in range(20)]


async def log_of(machine: Machine) -> list[Record]:
    """Every fact in a producer's topic, ticks left out, partition by partition."""
    consumer: Any = AIOKafkaConsumer(  # aiokafka ships no types
        topic_of(machine.name),
        bootstrap_servers=machine.settings.kafka_bootstrap_servers,
        group_id=None,
        auto_offset_reset="earliest",
    )
    records: list[Record] = []
    async with consumer:
        while batches := await consumer.getmany(timeout_ms=500):
            records += [
                Record(topic=r.topic, partition=r.partition, offset=r.offset, headers=r.headers, payload=r.value)
                for batch in batches.values()
                for r in batch
            ]
    return [record for record in records if not record.is_tick]


def versions_by_key(records: Sequence[Record]) -> dict[UUID, list[int]]:
    found: dict[UUID, list[int]] = {}
    for record in sorted(records, key=lambda r: (r.partition, r.offset)):
        assert record.envelope is not None
        found.setdefault(record.envelope.key, []).append(record.envelope.version)
    return found


def first_seen(versions: list[int]) -> list[int]:
    """Versions in the order of their first appearance: what a consumer that drops duplicates applies."""
    return list(dict.fromkeys(versions))


async def emit(producer: Machine, rounds: int, *, pause_s: float = 0.0) -> None:
    for _ in range(rounds):
        async with producer.database.transaction() as unit:
            for key in KEYS:
                unit.outbox.add(Counted(amount=1), key=key)
        await asyncio.sleep(pause_s)


async def all_applied(consumer: Machine, rounds: int) -> bool:
    return await consumer.tallied() == dict.fromkeys(KEYS, (rounds, rounds, rounds))


@asynccontextmanager
async def pair(database: Database, broker: str, *, embedded: bool = False) -> AsyncGenerator[tuple[Machine, Machine]]:
    producer = Machine("api", settings_for("api", database, broker, embedded=embedded))
    consumer = Machine(
        "provisioner", settings_for("provisioner", database, broker, embedded=embedded), consumes=["api"]
    )
    try:
        yield producer, consumer
    finally:
        await producer.database.close()
        await consumer.database.close()


async def test_kafka_killed_and_wiped_loses_nothing(database: Database, own_kafka: ApacheKafka) -> None:
    """INVARIANT: over a kill -9 in the middle of publishing everything arrives in order; over an emptied log the epoch rises,
    everything is published again, and consumers have applied each event once."""
    async with pair(database, own_kafka.bootstrap_servers) as (producer, consumer):

        async def applied() -> bool:
            return await all_applied(consumer, rounds)

        async with producer.running(), consumer.running():
            rounds = 40
            emitting = asyncio.create_task(emit(producer, rounds, pause_s=0.02))
            await asyncio.sleep(0.4)
            own_kafka.kill()
            await emitting
            await own_kafka.start()
            await eventually(applied, seconds=60)
            found = versions_by_key(await log_of(producer))
            assert {key: first_seen(versions) for key, versions in found.items()} == {
                key: list(range(1, rounds + 1)) for key in KEYS
            }
            assert await producer.scalar("SELECT coalesce(max(log_epoch), 0) FROM relay_state") == 0

            own_kafka.wipe()
            await own_kafka.start()
            rounds += 5
            await emit(producer, 5)
            await eventually(applied, seconds=60)
            assert await producer.scalar("SELECT log_epoch FROM relay_state") >= 1
            await eventually(lambda: nothing_waits(producer))
            assert versions_by_key(await log_of(producer)).keys() == set(KEYS)
        assert await consumer.reacted() == {key: list(range(1, rounds + 1)) for key in KEYS}


async def test_an_idle_platform_notices_that_the_embedded_broker_was_emptied(
    database: Database, own_embedded_broker: RunningBroker
) -> None:
    """INVARIANT: a memory-only broker that restarts while nobody emits has the whole log again within seconds."""
    async with pair(database, own_embedded_broker.bootstrap_servers, embedded=True) as (producer, consumer):
        async with producer.running(), consumer.running():
            await emit(producer, 3)
            await eventually(lambda: all_applied(consumer, 3))
            own_embedded_broker.kill()
            await own_embedded_broker.start()

            async def refilled() -> bool:
                return await producer.scalar("SELECT log_epoch FROM relay_state") == 1 and await nothing_waits(producer)

            await eventually(refilled, seconds=20)
            await emit(producer, 1)
            await eventually(lambda: all_applied(consumer, 4), seconds=40)
        assert await consumer.reacted() == {key: [1, 2, 3, 4] for key in KEYS}


@pytest.mark.parametrize("broker", ["kafka", "embedded_broker"])
async def test_a_place_beyond_the_logs_end_is_of_a_log_that_is_gone(
    database: Database, broker: str, request: pytest.FixtureRequest
) -> None:
    """INVARIANT: who had read far in a log that is gone reads the one that is there; a broker may keep silent about the difference."""
    address = request.getfixturevalue(broker)
    async with pair(database, address, embedded=broker == "embedded_broker") as (producer, consumer):
        async with producer.running():
            await emit(producer, 3)
            await eventually(lambda: nothing_waits(producer))
            await _read_far(consumer, address)
            async with consumer.running():
                await eventually(lambda: all_applied(consumer, 3))
        assert await consumer.reacted() == {key: [1, 2, 3] for key in KEYS}


async def nothing_waits(producer: Machine) -> bool:
    return await producer.scalar("SELECT count(*) FROM outbox WHERE published_at IS NULL") == 0


async def _read_far(consumer: Machine, address: str) -> None:
    """What a consumer leaves at a broker whose log was longer once: places that are not there any more."""
    topic = topic_of("api")
    stranger: Any = AIOKafkaConsumer(
        bootstrap_servers=address, group_id=f"clawdeploy.{consumer.name}.{topic}", enable_auto_commit=False
    )
    await stranger.start()
    places = [TopicPartition(topic, number) for number in range(4)]
    stranger.assign(places)
    await stranger.commit(dict.fromkeys(places, 1000))
    await stranger.stop()


async def test_a_service_stops_in_time_while_its_broker_is_away(
    database: Database, own_embedded_broker: RunningBroker
) -> None:
    """INVARIANT: relay and consumer end within the grace of a service, though what they would flush has nowhere to go."""
    async with pair(database, own_embedded_broker.bootstrap_servers, embedded=True) as (producer, consumer):
        async with producer.running(), consumer.running():
            await emit(producer, 1)
            await eventually(lambda: all_applied(consumer, 1))
            own_embedded_broker.kill()
            await emit(producer, 1)
            await asyncio.sleep(0.3)
            started = time.monotonic()
        assert time.monotonic() - started < 12


async def test_a_lost_tail_is_noticed_and_healed(database: Database, kafka: str) -> None:
    """INVARIANT: an acknowledged offset not above the stored one raises the epoch; consumers read from the beginning."""
    async with pair(database, kafka) as (producer, consumer):
        async with producer.running(), consumer.running():
            await emit(producer, 2)
            await eventually(lambda: all_applied(consumer, 2))
        await producer.rows(
            "UPDATE relay_offsets SET acknowledged_offset = acknowledged_offset + 100 RETURNING partition"
        )
        await consumer.rows("DELETE FROM progress WHERE key = :key RETURNING key", key=KEYS[0])
        await consumer.rows("DELETE FROM tallies WHERE key = :key RETURNING key", key=KEYS[0])
        await consumer.rows("DELETE FROM reactions WHERE key = :key RETURNING key", key=KEYS[0])
        async with producer.running(), consumer.running():
            await eventually(lambda: all_applied(consumer, 2))
        assert await producer.scalar("SELECT log_epoch FROM relay_state") == 1
        epochs = await consumer.rows("SELECT partition, log_epoch FROM consumed_epochs")
        assert {row.log_epoch for row in epochs} == {1}
        assert await consumer.reacted() == {key: [1, 2] for key in KEYS}


async def test_two_relays_at_once_keep_the_order_of_every_key(producer: Machine, database: Database) -> None:
    """INVARIANT: replicas of a service publish each event, in order per key; no event twice while nothing fails."""
    twin = Machine("api", producer.settings)

    async with producer.running(), twin.running():
        await asyncio.gather(emit(producer, 60), emit(twin, 60))
        await eventually(lambda: nothing_waits(producer))
    found = versions_by_key(await log_of(producer))
    assert found == {key: list(range(1, 121)) for key in KEYS}
    await twin.database.close()


async def test_a_relay_whose_session_was_ended_marks_nothing(
    producer: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INVARIANT: a relay paused past its session's time limit has lost its lock, so it cannot mark; its events come again."""
    monkeypatch.setattr(relay, "_GUARD", text("SET LOCAL idle_in_transaction_session_timeout = '200ms'"))
    original = relay.Relay._send  # pyright: ignore[reportPrivateUsage]
    pauses = iter([0.6])

    async def paused(self: relay.Relay, *arguments: object) -> object:
        sent = await original(self, *arguments)  # pyright: ignore[reportArgumentType]
        await asyncio.sleep(next(pauses, 0))
        return sent

    monkeypatch.setattr(relay.Relay, "_send", paused)
    key = uuid4()
    await producer.emit(key, 1, 2)

    async with producer.running(producer.relay.run):
        await eventually(lambda: nothing_waits(producer))
    assert versions_by_key(await log_of(producer)) == {key: [1, 2, 1, 2]}


async def test_what_kafka_has_of_a_round_that_failed_is_not_sent_again(producer: Machine) -> None:
    """INVARIANT: a round commits what was acknowledged before it raises; what was refused, and what lies behind it, comes later."""
    await _topic_of_small_messages(producer)
    bad, others = KEYS[0], KEYS[1:]
    await producer.emit(bad, 1, poison="x" * 50_000)
    for key in others:
        await producer.emit(key, 1, 2)

    async def refused() -> set[UUID]:
        return {row.key for row in await producer.rows("SELECT key FROM outbox WHERE published_at IS NULL")}

    async def only_one_partition_waits() -> bool:
        return len(await refused()) < len(KEYS)

    async def tried_again() -> bool:
        return len([log for log in logs if log["event"] == "relay.interrupted"]) > 1

    with capture_logs() as logs:
        async with producer.running(producer.relay.run):
            await eventually(only_one_partition_waits)
            await eventually(tried_again)
    waiting = await refused()
    assert bad in waiting
    sent = versions_by_key(await log_of(producer))
    assert sent == {key: [1, 2] for key in KEYS if key not in waiting}
    await _allow_large_messages(producer)

    async with producer.running(producer.relay.run):
        await eventually(lambda: nothing_waits(producer))
    assert versions_by_key(await log_of(producer)) == {bad: [1], **{key: [1, 2] for key in others}}


@asynccontextmanager
async def _administering(machine: Machine) -> AsyncGenerator[Any]:
    admin: Any = AIOKafkaAdminClient(bootstrap_servers=machine.settings.kafka_bootstrap_servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def _topic_of_small_messages(machine: Machine) -> None:
    new = NewTopic(topic_of(machine.name), 4, 1, topic_configs={"max.message.bytes": "20000"})
    async with _administering(machine) as admin:
        await admin.create_topics([new])


async def _allow_large_messages(machine: Machine) -> None:
    configs = {"max.message.bytes": "1048576"}
    async with _administering(machine) as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic_of(machine.name), configs=configs)])


async def test_the_topic_has_the_partitions_it_should(producer: Machine) -> None:
    """INVARIANT: a topic that somebody made with too few partitions gets the missing ones."""
    small = producer.settings.model_copy(update={"kafka_partitions": 1})
    await ensure_topic(small, topic_of("api"))
    await ensure_topic(producer.settings, topic_of("api"))
    await ensure_topic(small, topic_of("api"))

    async def complete() -> bool:
        async with AIOKafkaConsumer(
            topic_of("api"), bootstrap_servers=producer.settings.kafka_bootstrap_servers
        ) as each:
            return len(each.assignment()) == producer.settings.kafka_partitions

    await eventually(complete)

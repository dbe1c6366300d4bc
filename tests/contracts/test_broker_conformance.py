"""What the platform asks of a broker, asked of Apache Kafka and of the embedded one; and where the two differ.

Joining a group takes the embedded broker 5 s, and up to 20 s when a member has just left.
"""
# aiokafka ships no types, and its clients are all this file talks to:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError
from aiokafka.structs import ConsumerRecord, RecordMetadata

from tests.engines.apache_kafka import ApacheKafka
from tests.engines.wheels import RunningBroker

PARTITIONS = 24
KEYS = [f"instance-{number}".encode() for number in range(40)]
Record = ConsumerRecord[bytes, bytes]


@dataclass(frozen=True, kw_only=True)
class Broker:
    """An address, and what its clients must set."""

    bootstrap_servers: str
    idempotence: bool
    fetch_max_wait_ms: int


@pytest.fixture(params=["kafka", "embedded_broker"])
def broker(request: pytest.FixtureRequest) -> Broker:
    address: str = request.getfixturevalue(request.param)
    embedded = request.param == "embedded_broker"
    return Broker(bootstrap_servers=address, idempotence=not embedded, fetch_max_wait_ms=20 if embedded else 500)


@asynccontextmanager
async def administrator(bootstrap_servers: str) -> AsyncGenerator[AIOKafkaAdminClient, None]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def make_topic(bootstrap_servers: str) -> str:
    name = f"conformance.{secrets.token_hex(6)}"
    async with administrator(bootstrap_servers) as admin:
        await admin.create_topics([NewTopic(name, num_partitions=PARTITIONS, replication_factor=1)])
    return name


@pytest.fixture
async def topic(broker: Broker) -> str:
    return await make_topic(broker.bootstrap_servers)


async def produce(broker: Broker, topic: str, *, rounds: range) -> list[RecordMetadata]:
    """Send one record a key and round, as the relay does: without waiting in between, then for all."""
    producer = AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap_servers, enable_idempotence=broker.idempotence, acks="all"
    )
    async with producer:
        sent = [
            await producer.send(
                topic, value=str(round_).encode(), key=key, headers=[("ce_sequence", str(round_).encode())]
            )
            for round_ in rounds
            for key in KEYS
        ]
        return [await each for each in sent]


@asynccontextmanager
async def consumer(broker: Broker, topic: str, *, group: str | None) -> AsyncGenerator[AIOKafkaConsumer, None]:
    client = AIOKafkaConsumer(
        topic,
        bootstrap_servers=broker.bootstrap_servers,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=broker.fetch_max_wait_ms,
    )
    async with client:
        yield client


async def consume(client: AIOKafkaConsumer, count: int) -> list[Record]:
    records: list[Record] = []
    async with asyncio.timeout(60):
        while len(records) < count:
            batches = await client.getmany(timeout_ms=500)
            records += [record for batch in batches.values() for record in batch]
    return records


async def test_a_topic_has_the_partitions_it_was_asked_for(broker: Broker, topic: str) -> None:
    async with administrator(broker.bootstrap_servers) as admin:
        [description] = await admin.describe_topics([topic])
        assert sorted(part["partition"] for part in description["partitions"]) == list(range(PARTITIONS))


async def test_making_a_topic_twice_is_harmless(broker: Broker, topic: str) -> None:
    await produce(broker, topic, rounds=range(1))
    async with administrator(broker.bootstrap_servers) as admin:
        try:
            response: Any = await admin.create_topics(
                [NewTopic(topic, num_partitions=PARTITIONS, replication_factor=1)]
            )
        except TopicAlreadyExistsError:
            pass
        else:
            assert response.topic_errors[0][1] == TopicAlreadyExistsError.errno
    async with consumer(broker, topic, group=None) as client:
        assert len(await consume(client, len(KEYS))) == len(KEYS)


async def test_records_of_a_key_arrive_in_order_with_their_headers(broker: Broker, topic: str) -> None:
    await produce(broker, topic, rounds=range(20))
    async with consumer(broker, topic, group=None) as client:
        records = await consume(client, 20 * len(KEYS))
    by_key: defaultdict[bytes, list[int]] = defaultdict(list)
    for record in records:
        assert record.key is not None
        assert record.headers == (("ce_sequence", record.value),)
        by_key[record.key].append(int(record.value or b""))
    assert by_key == {key: list(range(20)) for key in KEYS}


async def test_a_key_always_lands_on_the_same_partition(broker: Broker, topic: str) -> None:
    acknowledged = await produce(broker, topic, rounds=range(2))
    first, second = acknowledged[: len(KEYS)], acknowledged[len(KEYS) :]
    assert [each.partition for each in first] == [each.partition for each in second]
    assert len({each.partition for each in first}) > PARTITIONS // 2


async def test_acknowledged_offsets_rise_strictly_on_every_partition(broker: Broker, topic: str) -> None:
    """INVARIANT: an acknowledged offset not above an earlier one of its partition proves that the log was lost."""
    offsets: defaultdict[int, list[int]] = defaultdict(list)
    for rounds in (range(10), range(10, 20)):
        for each in await produce(broker, topic, rounds=rounds):
            offsets[each.partition].append(each.offset)
    for row in offsets.values():
        assert row == sorted(set(row))
        assert row[0] == 0


async def test_a_group_resumes_after_what_it_committed(broker: Broker, topic: str) -> None:
    group = f"group-{topic}"
    await produce(broker, topic, rounds=range(1))
    async with consumer(broker, topic, group=group) as client:
        await consume(client, len(KEYS))
        await client.commit()
    await produce(broker, topic, rounds=range(1, 2))
    async with consumer(broker, topic, group=group) as client:
        assert {record.value for record in await consume(client, len(KEYS))} == {b"1"}


async def test_what_was_not_committed_comes_again(broker: Broker, topic: str) -> None:
    """INVARIANT: delivery is at least once."""
    group = f"group-{topic}"
    await produce(broker, topic, rounds=range(1))
    for _ in range(2):
        async with consumer(broker, topic, group=group) as client:
            assert {record.key for record in await consume(client, len(KEYS))} == set(KEYS)


async def test_a_consumer_can_go_back_to_the_beginning(broker: Broker, topic: str) -> None:
    await produce(broker, topic, rounds=range(2))
    async with consumer(broker, topic, group=f"group-{topic}") as client:
        await consume(client, 2 * len(KEYS))
        await client.commit()
        await client.seek_to_beginning(*client.assignment())
        assert len(await consume(client, 2 * len(KEYS))) == 2 * len(KEYS)


async def test_two_members_of_a_group_share_the_partitions(broker: Broker, topic: str) -> None:
    group = f"group-{topic}"
    async with (
        consumer(broker, topic, group=group) as one,
        consumer(broker, topic, group=group) as other,
        asyncio.timeout(60),
    ):
        while not (one.assignment() and other.assignment()) or one.assignment() & other.assignment():
            await asyncio.gather(one.getmany(timeout_ms=200), other.getmany(timeout_ms=200))
        assert len(one.assignment() | other.assignment()) == PARTITIONS


async def test_the_highwater_mark_tells_the_lag(broker: Broker, topic: str) -> None:
    await produce(broker, topic, rounds=range(3))
    async with consumer(broker, topic, group=f"group-{topic}") as client:
        await consume(client, 3 * len(KEYS))
        lags = [(client.highwater(part) or 0) - await client.position(part) for part in client.assignment()]
    assert sum(lags) == 0


async def test_only_apache_kafka_takes_an_idempotent_producer(kafka: str, embedded_broker: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True) as producer:
        await producer.send_and_wait(await make_topic(kafka), b"value")
    refused = AIOKafkaProducer(bootstrap_servers=embedded_broker, enable_idempotence=True)
    try:
        with pytest.raises(KafkaError):
            await refused.start()
    finally:
        await refused.stop()


async def test_only_apache_kafka_lists_group_offsets(broker: Broker, topic: str) -> None:
    group = f"group-{topic}"
    await produce(broker, topic, rounds=range(1))
    async with consumer(broker, topic, group=group) as client:
        await consume(client, len(KEYS))
        await client.commit()
    async with administrator(broker.bootstrap_servers) as admin:
        if not broker.idempotence:
            with pytest.raises(KafkaError):  # its answer is malformed, the client hangs up
                await admin.list_consumer_group_offsets(group)
            return
        offsets = await admin.list_consumer_group_offsets(group)
        assert sum(each.offset for part, each in offsets.items() if part.topic == topic) == len(KEYS)


async def test_apache_kafka_keeps_acknowledged_records_over_kill_9(own_kafka: ApacheKafka) -> None:
    broker = Broker(bootstrap_servers=own_kafka.bootstrap_servers, idempotence=True, fetch_max_wait_ms=500)
    topic = await make_topic(broker.bootstrap_servers)
    before = await produce(broker, topic, rounds=range(5))
    own_kafka.kill()
    await own_kafka.start()
    after = await produce(broker, topic, rounds=range(5, 6))
    last = {each.partition: each.offset for each in before}
    assert all(each.offset > last[each.partition] for each in after)
    async with consumer(broker, topic, group=None) as client:
        assert len(await consume(client, 6 * len(KEYS))) == 6 * len(KEYS)


async def test_an_emptied_apache_kafka_begins_again_at_offset_zero(own_kafka: ApacheKafka) -> None:
    broker = Broker(bootstrap_servers=own_kafka.bootstrap_servers, idempotence=True, fetch_max_wait_ms=500)
    topic = await make_topic(broker.bootstrap_servers)
    await produce(broker, topic, rounds=range(5))
    own_kafka.wipe()
    await own_kafka.start()
    async with administrator(broker.bootstrap_servers) as admin:
        assert topic not in await admin.list_topics()
        await admin.create_topics([NewTopic(topic, num_partitions=PARTITIONS, replication_factor=1)])
    assert min(each.offset for each in await produce(broker, topic, rounds=range(1))) == 0


async def test_the_embedded_broker_forgets_everything_when_it_restarts(own_embedded_broker: RunningBroker) -> None:
    broker = Broker(bootstrap_servers=own_embedded_broker.bootstrap_servers, idempotence=False, fetch_max_wait_ms=20)
    topic = await make_topic(broker.bootstrap_servers)
    await produce(broker, topic, rounds=range(5))
    own_embedded_broker.kill()
    await own_embedded_broker.start()
    async with administrator(broker.bootstrap_servers) as admin:
        assert topic not in await admin.list_topics()

"""projection_ratio: records applied by a projector, against a consumer that decodes them and runs the same SQL in the same batches.

redrop_s: what was applied before, read again from the beginning of the log and dropped.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from prometheus_client import Counter
from sqlalchemy import text

from clawdeploy_common.database import Database
from clawdeploy_common.events import Envelope
from clawdeploy_common.handlers import PROJECTOR, Reactors
from clawdeploy_common.inbox import Inbox
from clawdeploy_common.kafka import ensure_topic
from clawdeploy_common.metrics import EVENTS_APPLIED, EVENTS_DROPPED
from clawdeploy_common.settings import ServiceSettings
from clawdeploy_common.subscription import MAX_RECORDS, Subscription
from clawdeploy_common.supervision import TaskGroup
from tests.bench.engines import Engines
from tests.bench.figures import Figure, side_by_side, stopwatch
from tests.bench.pipeline import TALLY, bare_waves, envelopes, own_topic, prepared, settings_of, tallying
from tests.bench.size import Size
from tests.engines.databases import Database as TestDatabase

PRODUCER, CONSUMER, BARE = "provisioner", "monitor", "billing"
REDROPPED = 100_000


async def measure(engines: Engines, size: Size) -> list[Figure]:
    """Events per second of both, in pairs; each pair has a topic of its own, which both read from its beginning."""
    number, spread = size.of(20_000), size.of(2_000)
    async with engines.database() as given:
        for service in (CONSUMER, BARE):
            await prepared(given, service)
        settings = settings_of(CONSUMER, given, engines.kafka)
        topics: dict[str, str] = {}

        async def topic_for(side: str) -> str:
            """The pair's topic: filled by the side that comes first."""
            topic = next((t for other, t in topics.items() if other != side), None)
            topics.clear()
            if topic is None:
                topics[side] = topic = await _filled(settings, envelopes(number=number, spread=spread))
            return topic

        async def ours() -> float:
            return await _project(settings, await topic_for("ours"), number=number)

        async def bare() -> float:
            return await _consume(given, settings, await topic_for("bare"), number=number)

        found = await side_by_side(ours, bare, rounds=size.rounds)
    facts = found.facts("events_per_s")
    return [Figure(name="projection_ratio", where="Apache Kafka", rounds=found.ratios, facts=facts)]


async def measure_redrop(engines: Engines, size: Size) -> list[Figure]:
    """Seconds until the whole log was read again and nothing of it applied."""
    number, spread = REDROPPED, REDROPPED // 10  # the aim is about this many, so a smaller run has no smaller log
    async with engines.database() as given:
        await prepared(given, CONSUMER)
        settings = settings_of(CONSUMER, given, engines.kafka)
        rounds: list[float] = []
        for _ in range(max(1, min(3, size.rounds - 2))):
            made = envelopes(number=number, spread=spread)
            topic = await _filled(settings, made)
            await _remember(settings, made)
            rounds.append(await _redrop(settings, topic, number=number))
    facts = {"events": float(number), "events_per_s": number / rounds[0]}
    return [Figure(name="redrop_s", where="Apache Kafka", rounds=rounds, facts=facts)]


async def _filled(settings: ServiceSettings, made: list[Envelope]) -> str:
    topic = own_topic(PRODUCER)
    await ensure_topic(settings, topic)
    producer: Any = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers, enable_idempotence=True)
    await producer.start()
    try:
        sends = [await producer.send(topic, e.data, key=str(e.key).encode(), headers=e.headers()) for e in made]
        await asyncio.gather(*sends)
    finally:
        await producer.stop()
    return topic


async def _remember(settings: ServiceSettings, made: list[Envelope]) -> None:
    """Progress as it is when all of it was applied, by both kinds of handler."""
    last = {envelope.key: envelope.version for envelope in made}
    statement = text(
        "INSERT INTO progress (kind, source, key, version) SELECT k.kind, :source, i.key, i.version "
        "FROM unnest(CAST(:keys AS uuid[]), CAST(:versions AS bigint[])) AS i(key, version), "
        "(VALUES ('projector'), ('reactor')) AS k(kind)"
    )
    database = Database(settings, producer=CONSUMER)
    async with database.connection() as connection:
        values = {"source": made[0].source, "keys": list(last), "versions": list(last.values())}
        await connection.execute(statement, values)
    await database.close()


async def _project(settings: ServiceSettings, topic: str, *, number: int) -> float:
    """Events per second between the first applied batch and the last."""
    applied = _counting(EVENTS_APPLIED)
    return await _subscribed(settings, topic, lambda: _rate(applied, number=number))


async def _redrop(settings: ServiceSettings, topic: str, *, number: int) -> float:
    dropped = _counting(EVENTS_DROPPED)

    async def until_dropped() -> float:
        async with stopwatch() as watch:
            while dropped() < number:
                await asyncio.sleep(0.002)
        return watch.seconds

    return await _subscribed(settings, topic, until_dropped)


async def _subscribed(settings: ServiceSettings, topic: str, work: Callable[[], Any]) -> float:
    database = Database(settings, producer=CONSUMER)
    inbox = Inbox(database, projectors=tallying(), reactors=Reactors())
    tasks = TaskGroup()
    tasks.start("subscription", Subscription(database, settings, inbox, topic=topic).run)
    try:
        async with asyncio.timeout(120):
            found: float = await work()
            return found
    finally:
        await tasks.stop()
        await database.close()


async def _rate(done: Callable[[], float], *, number: int) -> float:
    """The clock starts when the first batch is through, so that joining the group is not counted."""
    while not (first := done()):
        await asyncio.sleep(0.001)
    async with stopwatch() as watch:
        while done() < number:
            await asyncio.sleep(0.002)
    return (number - first) / watch.seconds


def _counting(metric: Counter) -> Callable[[], float]:
    """What one counter counted since; asking the whole registry every 2 ms would be a load of its own."""
    series = metric.labels(PROJECTOR)

    def now() -> float:
        return next(iter(series.collect())).samples[0].value

    before = now()
    return lambda: now() - before


async def _consume(given: TestDatabase, settings: ServiceSettings, topic: str, *, number: int) -> float:
    """The bare consumer: one transaction a batch, one statement a wave."""
    consumer: Any = AIOKafkaConsumer(
        topic,
        bootstrap_servers=settings.kafka_bootstrap_servers,
        group_id=f"bare-{topic}",
        auto_offset_reset="earliest",
        enable_auto_commit=True,
        fetch_max_wait_ms=settings.kafka_fetch_max_wait_ms,
    )
    connection = await asyncpg.connect(given.url(BARE), server_settings={"search_path": BARE})
    await consumer.start()
    try:
        done = await _apply(consumer, connection)
        first = done
        async with stopwatch() as watch:
            while done < number:
                done += await _apply(consumer, connection)
    finally:
        await consumer.stop()
        await connection.close()
    return (number - first) / watch.seconds


async def _apply(consumer: Any, connection: Any) -> int:
    batches = await consumer.getmany(timeout_ms=1000, max_records=MAX_RECORDS)
    records = [record for batch in batches.values() for record in batch]
    statement = TALLY.format(keys="$1::uuid[]", amounts="$2::bigint[]", versions="$3::bigint[]")
    async with connection.transaction():
        for wave in bare_waves(records):
            amounts, versions = zip(*wave.values(), strict=True)
            await connection.execute(statement, list(wave), list(amounts), list(versions))
    return len(records)

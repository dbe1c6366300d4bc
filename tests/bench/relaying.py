"""relay_ratio: rows of the outbox until Kafka acknowledged them and they are marked, against a producer that sends the same records."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer
from prometheus_client import REGISTRY
from sqlalchemy import text

from clawdeploy_common.database import Database
from clawdeploy_common.kafka import ensure_topic
from clawdeploy_common.relay import Relay
from clawdeploy_common.settings import ServiceSettings
from clawdeploy_common.supervision import TaskGroup
from tests.bench.engines import Engines
from tests.bench.figures import Figure, side_by_side, stopwatch
from tests.bench.pipeline import envelopes, fill_outbox, own_topic, prepared, settings_of
from tests.bench.size import Size

SERVICE = "provisioner"


async def measure(engines: Engines, size: Size) -> list[Figure]:
    """Events per second of both, in pairs."""
    number, spread = size.of(20_000), size.of(2_000)
    async with engines.database() as prepared_for:
        await prepared(prepared_for, SERVICE)
        settings = settings_of(SERVICE, prepared_for, engines.kafka)
        topic = own_topic(SERVICE)
        await ensure_topic(settings, topic)
        database = Database(settings, producer=SERVICE)
        tasks, producer = TaskGroup(), _producer(settings)
        await producer.start()
        tasks.start("relay", Relay(database, settings).run)
        try:

            async def ours() -> float:
                return await _relay(database, number=number, spread=spread)

            async def bare() -> float:
                return await _produce(producer, topic, number=number, spread=spread)

            found = await side_by_side(ours, bare, rounds=size.rounds)
        finally:
            await tasks.stop()
            await producer.stop()
            await database.close()
    return [Figure(name="relay_ratio", where="Apache Kafka", rounds=found.ratios, facts=found.facts("events_per_s"))]


def _producer(settings: ServiceSettings) -> Any:
    """As durable as the relay's."""
    return AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap_servers, enable_idempotence=True, acks="all", linger_ms=0
    )


async def _relay(database: Database, *, number: int, spread: int) -> float:
    """The rows are there; time from the wake-up to the last mark."""
    before = _published()
    await fill_outbox(database, number=number, spread=spread)
    async with stopwatch() as watch:
        database.outbox_filled.set()
        while _published() < before + number:
            await asyncio.sleep(0.002)
        while await _is_unmarked(database):
            await asyncio.sleep(0.002)
    return number / watch.seconds


async def _is_unmarked(database: Database) -> bool:
    async with database.connection() as connection:
        return bool(await connection.scalar(text("SELECT EXISTS (SELECT FROM outbox WHERE published_at IS NULL)")))


def _published() -> float:
    return REGISTRY.get_sample_value("clawdeploy_events_published_total") or 0.0


async def _produce(producer: Any, topic: str, *, number: int, spread: int) -> float:
    """The same records, made before the clock starts: sent one after another, then awaited."""
    records = [(str(e.key).encode(), e.data, e.headers()) for e in envelopes(number=number, spread=spread)]
    async with stopwatch() as watch:
        sends = [await producer.send(topic, data, key=key, headers=headers) for key, data, headers in records]
        await asyncio.gather(*sends)
    return number / watch.seconds

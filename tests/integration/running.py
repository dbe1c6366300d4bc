"""A whole service of a test's own: its application's lifespan, on real brokers and a real database."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from fastapi import FastAPI

from clawdeploy_common import events
from clawdeploy_common.records import Record


def own_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    """The brokers of a run are shared: give every producing service a topic of this test's own."""
    for producer in list(events.TOPICS):
        monkeypatch.setitem(events.TOPICS, producer, f"{producer}-{secrets.token_hex(6)}")


@asynccontextmanager
async def running(app: FastAPI) -> AsyncGenerator[None]:
    """Run a service's loops while the block runs."""
    async with app.router.lifespan_context(app):
        yield


async def publish(bootstrap_servers: str, records: Sequence[Record]) -> None:
    """Put records on their topics, one after the other."""
    producer: Any = AIOKafkaProducer(bootstrap_servers=bootstrap_servers)
    await producer.start()
    try:
        for record in records:
            assert record.envelope is not None
            key = str(record.envelope.key).encode()
            await producer.send_and_wait(record.topic, record.payload, key=key, headers=list(record.headers))
    finally:
        await producer.stop()


async def published_types(bootstrap_servers: str, topic: str) -> list[str]:
    """The types of all events on a topic by now, ticks left out."""
    consumer: Any = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        batches = await consumer.getmany(timeout_ms=1500, max_records=1000)
        headers = [dict(record.headers) for batch in batches.values() for record in batch]
        return [h["ce_type"].decode() for h in headers if h["ce_type"].decode() != events.TICK_TYPE]
    finally:
        await consumer.stop()


async def eventually(claim: Callable[[], Awaitable[bool]], *, seconds: float = 90) -> None:
    """Wait until a claim holds; fails after ``seconds``."""
    async with asyncio.timeout(seconds):
        while not await claim():
            await asyncio.sleep(0.1)

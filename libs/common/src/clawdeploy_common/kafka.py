"""Topics: created by the platform with a fixed number of partitions, kept for ever (law 5)."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import TopicAlreadyExistsError

from clawdeploy_common.settings import ServiceSettings

_CONNECTING_S = 3.0
_FOREVER = {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}


async def connected(start: Awaitable[None]) -> None:
    """Wait until a client has started. Who is cancelled meanwhile waits on, three seconds at most: a connection that is cut off
    while it is made belongs to nobody, and nobody closes it.
    """
    task = asyncio.ensure_future(start)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=_CONNECTING_S)
        if not task.cancel() and not task.cancelled():
            task.exception()  # nobody is left to hear of it
        raise


async def ensure_topic(settings: ServiceSettings, topic: str) -> None:
    """Create a topic unless it exists; raises aiokafka.errors.KafkaError when the broker is away or refuses."""
    admin: Any = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers, request_timeout_ms=10_000)
    try:
        await connected(admin.start())
        if topic in await admin.list_topics():
            await _grow(admin, topic, settings.kafka_partitions)
            return
        new = NewTopic(topic, settings.kafka_partitions, settings.kafka_replication_factor, topic_configs=_FOREVER)
        await _create(admin, new)
    finally:
        await admin.close()


async def _grow(admin: Any, topic: str, partitions: int) -> None:
    """Add partitions that are missing, as when the broker made the topic itself. Never fewer: they hold events."""
    [described] = await admin.describe_topics([topic])
    found = len(described["partitions"])
    if 0 < found < partitions:
        await admin.create_partitions({topic: NewPartitions(total_count=partitions)}, timeout_ms=10_000)


async def _create(admin: Any, new: NewTopic) -> None:
    response = await admin.create_topics([new], timeout_ms=10_000)
    for _, code, *rest in response.topic_errors:
        if code not in (0, TopicAlreadyExistsError.errno):
            raise RuntimeError(f"the broker refused topic {new.name}: error {code} {rest}")

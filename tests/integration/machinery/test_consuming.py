"""Laws 2 and 6 over the wire: restarts, lost offsets, rebalances, a database that dies."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from tests.engines.databases import Database
from tests.engines.wheels import RunningPostgres
from tests.integration.machinery import throwaway
from tests.integration.machinery.conftest import SERVICES
from tests.integration.machinery.machine import Machine, eventually, settings_for
from tests.integration.machinery.throwaway.events import Counted
from tests.integration.machinery.throwaway.models import metadata

from clawdeploy_cli.engines.database import prepare_database, role_names
from clawdeploy_common.events import topic_of
from clawdeploy_common.migrating import migrate

KEYS = [uuid4() for _ in range(20)]


async def emit(producer: Machine, rounds: int) -> None:
    for _ in range(rounds):
        async with producer.database.transaction() as unit:
            for key in KEYS:
                unit.outbox.add(Counted(amount=1), key=key)


def once_in_order(rounds: int) -> dict[object, list[int]]:
    return {key: list(range(1, rounds + 1)) for key in KEYS}


async def applied(consumer: Machine, rounds: int) -> bool:
    return await consumer.tallied() == dict.fromkeys(KEYS, (rounds, rounds, rounds))


async def test_a_restarted_consumer_resumes(producer: Machine, consumer: Machine) -> None:
    """INVARIANT: a service that was down applies what came meanwhile, once."""
    async with producer.running():
        for rounds in (3, 6, 9):
            await emit(producer, 3)
            async with consumer.running():
                await eventually(lambda rounds=rounds: applied(consumer, rounds))
    assert await consumer.reacted() == once_in_order(9)
    assert consumer.handlers.reactor_calls == 9 * len(KEYS)


async def test_a_consumer_whose_offsets_are_lost_drops_what_it_knows(
    producer: Machine, consumer: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INVARIANT: Kafka's offsets are a hint: reading the whole log again changes nothing."""
    async with producer.running():
        await emit(producer, 5)
        async with consumer.running():
            await eventually(lambda: applied(consumer, 5))
        stranger = Machine("provisioner", consumer.settings, consumes=["api"])
        monkeypatch.setattr(stranger.database, "producer", "a-group-that-nobody-knows")
        await emit(producer, 1)
        async with stranger.running(stranger.subscriptions[0].run):
            await eventually(lambda: applied(consumer, 6))
    assert await consumer.reacted() == once_in_order(6)
    assert stranger.handlers.reactor_calls == len(KEYS)
    await stranger.database.close()


async def test_replicas_that_come_and_go_apply_everything_once(producer: Machine, consumer: Machine) -> None:
    """INVARIANT: while replicas join and leave in the middle of the stream, each event is applied once, in order."""
    replicas = [Machine("provisioner", consumer.settings, consumes=["api"]) for _ in range(3)]
    emitting = asyncio.create_task(emit(producer, 120))
    async with producer.running(), consumer.running():
        for replica in replicas:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(replica.running())
                await asyncio.sleep(0.7)
        await emitting
        await eventually(lambda: applied(consumer, 120))
    assert await consumer.reacted() == once_in_order(120)
    assert await consumer.scalar("SELECT count(*) FROM parked_events") == 0
    for replica in replicas:
        await replica.database.close()


@pytest.fixture
async def mortal(own_postgres: RunningPostgres) -> Database:
    """A migrated database on a server of its own."""
    passwords = {role: f"password-of-{role}" for role in role_names()}
    await prepare_database(own_postgres.admin_url, database="mortal", passwords=passwords)
    database = Database(name="mortal", admin_url=own_postgres.admin_url, passwords=passwords)
    for service in SERVICES:
        await migrate(database.url(service), schema=service, package_file=throwaway.__file__, metadata=metadata)
    return database


async def test_a_database_killed_and_restarted_loses_and_doubles_nothing(
    mortal: Database, own_postgres: RunningPostgres, kafka: str
) -> None:
    """INVARIANT: PostgreSQL killed -9 under relay, consumer and drainer: they wait, go on, and each event is applied once."""
    producer = Machine("api", settings_for("api", mortal, kafka))
    consumer = Machine("provisioner", settings_for("provisioner", mortal, kafka), consumes=["api"])
    async with producer.running(), consumer.running():
        await emit(producer, 60)
        await asyncio.sleep(0.2)
        own_postgres.kill()
        await asyncio.sleep(1)
        await own_postgres.start()
        await emit(producer, 5)
        await eventually(lambda: applied(consumer, 65))
    assert await consumer.reacted() == once_in_order(65)
    await producer.database.close()
    await consumer.database.close()


async def test_strangers_in_the_topic_stop_nobody(producer: Machine, consumer: Machine) -> None:
    """INVARIANT: records that nobody can read (no headers, tombstones, binary) pass through the subscriber as dead letters."""
    await emit(producer, 1)
    async with producer.running(), consumer.running():
        await eventually(lambda: applied(consumer, 1))
        stranger: Any = AIOKafkaProducer(
            bootstrap_servers=consumer.settings.kafka_bootstrap_servers
        )  # it ships no types
        async with stranger:
            await stranger.send_and_wait(topic_of("api"), b"\xff", key=b"\xff")
            await stranger.send_and_wait(
                topic_of("api"), None, key=b"k", headers=[("ce_type", b"\xff"), ("ce_id", b"")]
            )
            tick = [("ce_type", b"clawdeploy.tick.v1"), ("ce_time", b"\xff"), ("ce_logepoch", b"99999999999")]
            await stranger.send_and_wait(topic_of("api"), b"{}", headers=tick)
        await emit(producer, 1)
        await eventually(lambda: applied(consumer, 2))

        async def parked() -> bool:
            return await consumer.scalar("SELECT count(*) FROM parked_events") == 2

        await eventually(parked)

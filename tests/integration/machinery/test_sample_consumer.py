"""docs/samples/follow_events.py, run as its own process against Apache Kafka, with real events of a real relay."""

import asyncio
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import text
from tests.engines.databases import Database
from tests.engines.process import EngineProcess
from tests.integration.machinery.machine import Machine, eventually, settings_for

from clawdeploy_common.events import Event, topic_of
from clawdeploy_events.lifecycle import InstanceStopped, OperationKind, OperationStepChanged, StepState

SAMPLE = Path(__file__).parents[3] / "docs" / "samples" / "follow_events.py"
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
KEYS = [uuid4() for _ in range(6)]
Seen = list[tuple[str, str]]


def stopped(number: int) -> Event:
    """A public event that tells its number."""
    return InstanceStopped(server_id=uuid4(), stopped_at=NOON, reason=str(number))


def internal() -> Event:
    """An event that is not offered to subscribers, and takes a number of the same sequence."""
    return OperationStepChanged(
        operation_id=uuid4(), kind=OperationKind.STOP, step="stop", state=StepState.DONE, changed_at=NOON
    )


class Follower:
    """The sample as a process, and what it kept and told."""

    def __init__(self, folder: Path, bootstrap: str) -> None:
        self.group = f"follower-{uuid4().hex}"
        self._store, self._bootstrap = folder / "events.sqlite", bootstrap
        self._process = EngineProcess(log=folder / "told.jsonl")

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        options = ["--bootstrap", self._bootstrap, "--group", self.group, "--store", str(self._store)]
        command = [sys.executable, "-W", "error", str(SAMPLE), *options, topic_of("provisioner")]
        self._process.start(command, environment=dict(os.environ))
        try:
            yield
        finally:
            self._process.stop(signal.SIGTERM)

    def kept(self) -> dict[UUID, list[str]]:
        """Numbers of the stops in the order in which they were applied, by key."""
        if not self._store.exists():
            return {}
        found: dict[UUID, list[str]] = {}
        with closing(sqlite3.connect(self._store)) as database:
            if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'seen'").fetchone() is None:
                return {}
            rows = database.execute("SELECT subject, data FROM seen WHERE type LIKE 'instance%' ORDER BY rowid")
            for subject, data in rows:
                found.setdefault(UUID(subject), []).append(json.loads(data)["reason"])
        return found

    def told(self) -> list[dict[str, Any]]:
        """The events it printed, between warnings of its Kafka client."""
        return [json.loads(line) for line in self._process.log.read_text().splitlines() if line.startswith("{")]

    async def has(self, *numbers: int) -> None:
        expected = {key: [str(number) for number in numbers] for key in KEYS}

        async def holds() -> bool:
            _ = self._process.pid  # an error with its last lines when it has ended
            return self.kept() == expected

        await eventually(holds)


@pytest.fixture
async def machine(database: Database, kafka: str) -> AsyncGenerator[Machine]:
    machine = Machine("provisioner", settings_for("provisioner", database, kafka))
    yield machine
    await machine.database.close()


@pytest.fixture
def follower(tmp_path: Path, kafka: str) -> Follower:
    return Follower(tmp_path, kafka)


async def emit(machine: Machine, *events: Event) -> None:
    async with machine.database.transaction() as unit:
        for key in KEYS:
            for event in events:
                unit.outbox.add(event, key=key, account_id=uuid4())


async def run(machine: Machine, statement: str) -> None:
    async with machine.database.connection() as connection:
        await connection.execute(text(statement))


async def published(machine: Machine) -> bool:
    return await machine.scalar("SELECT count(*) FROM outbox WHERE published_at IS NULL") == 0


async def start_at_the_last_record(machine: Machine, group: str) -> None:
    """Let the group's committed offsets point at the end of the log, as those of an older log may."""
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=machine.settings.kafka_bootstrap_servers, group_id=group, enable_auto_commit=False
    )
    async with consumer:
        partitions = [TopicPartition(topic_of(machine.name), p) for p in range(machine.settings.kafka_partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.commit({partition: max(0, end - 1) for partition, end in ends.items()})


async def test_the_sample_consumer_applies_each_event_once_and_in_order(machine: Machine, follower: Follower) -> None:
    """INVARIANT: duplicates, restarts and a log published anew change nothing for who follows as the sample does."""
    await emit(machine, stopped(1), internal(), stopped(2))
    async with machine.running(machine.relay.run), follower.running():
        await follower.has(1, 2)
        await run(machine, "UPDATE outbox SET published_at = NULL")  # everything once more, under the same epoch
        await emit(machine, stopped(3))
        await follower.has(1, 2, 3)
    await emit(machine, stopped(4), stopped(5))
    await run(machine, "UPDATE outbox SET published_at = now() WHERE published_at IS NULL")  # so does a lost tail look
    await run(machine, "UPDATE relay_offsets SET acknowledged_offset = acknowledged_offset + 1000")
    await emit(machine, stopped(6))
    async with machine.running(machine.relay.run):
        await eventually(lambda: raised(machine))
        await eventually(lambda: published(machine))
        await asyncio.wait_for(start_at_the_last_record(machine, follower.group), 30)
        async with follower.running():
            await follower.has(1, 2, 3, 4, 5, 6)
    assert [line["sequence"] for line in follower.told() if line["subject"] == str(KEYS[0])] == list("1234567")


async def raised(machine: Machine) -> bool:
    return await machine.scalar("SELECT log_epoch FROM relay_state") == 1

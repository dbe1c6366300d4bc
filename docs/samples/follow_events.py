"""Follow ClawDeploy's events over Kafka with nothing of ClawDeploy's: aiokafka and a SQLite file (pip install aiokafka).

    python follow_events.py --bootstrap kafka:9092 --store billing-export.sqlite clawdeploy.lifecycle clawdeploy.billing

Keeps each event once, in order per (source, key), and prints it. What makes that so, and what to keep when you make this yours:

1. The effect of an event (here: a row of `seen`) and the progress of its (source, key) are one transaction.
2. A sequence that is not above the progress is a duplicate and is dropped; only the next one is applied. Records of types you do
   not know, or do not want, advance the progress too: the sequence counts all events of a key.
3. A higher `ce_logepoch` on a partition says that the broker lost a part of its log and everything was published again: read that
   partition from its beginning. The same when a sequence is ahead of its turn.
4. Kafka's offsets are a hint. They are committed after the transaction, never before.
"""

import argparse
import asyncio
import json
import signal
import sqlite3
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

TABLES = """
CREATE TABLE IF NOT EXISTS progress (source TEXT, key TEXT, sequence INTEGER NOT NULL, PRIMARY KEY (source, key));
CREATE TABLE IF NOT EXISTS epochs (topic TEXT, partition INTEGER, epoch INTEGER NOT NULL, PRIMARY KEY (topic, partition));
CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY, type TEXT NOT NULL, subject TEXT NOT NULL, data TEXT NOT NULL);
"""
ADVANCE = "INSERT INTO progress VALUES (?, ?, ?) ON CONFLICT (source, key) DO UPDATE SET sequence = excluded.sequence"
RAISE = "INSERT INTO epochs VALUES (?, ?, ?) ON CONFLICT (topic, partition) DO UPDATE SET epoch = excluded.epoch"


class Follower:
    """Applies records once and in order; says when a partition must be read from its beginning."""

    def __init__(self, store: Path) -> None:
        self._database = sqlite3.connect(store)
        self._database.executescript(TABLES)
        self._news: list[str] = []
        self._rewound_for: set[tuple[str, str, int]] = set()

    def take(self, records: Iterable[Any]) -> bool:
        """Apply records of one partition in one transaction; False when the partition has to be read again from its beginning."""
        with self._database:
            in_order = all(self._take(record) for record in records)
        sys.stdout.writelines(self._news)
        sys.stdout.flush()
        self._news.clear()
        return in_order

    def _take(self, record: Any) -> bool:
        headers = {name: value.decode() for name, value in record.headers}
        if self._epoch_rose(record, int(headers.get("ce_logepoch", "0"))):
            return False
        if "ce_sequence" not in headers:  # a mark of life, not an event
            return True
        source, key, sequence = headers["ce_source"], headers["ce_subject"], int(headers["ce_sequence"])
        last = self._progress(source, key)
        if sequence > last + 1:
            return self._ahead_of_its_turn(source, key, sequence)
        if sequence == last + 1:
            self._database.execute(ADVANCE, (source, key, sequence))
            self._apply(headers, json.loads(record.value))
        return True

    def _apply(self, headers: dict[str, str], data: dict[str, Any]) -> None:
        """Your effect stands here; it belongs to the transaction that advances the progress."""
        event = (headers["ce_id"], headers["ce_type"], headers["ce_subject"], json.dumps(data))
        self._database.execute("INSERT INTO seen VALUES (?, ?, ?, ?)", event)
        told = {"type": headers["ce_type"], "subject": headers["ce_subject"], "sequence": headers["ce_sequence"]}
        self._news.append(json.dumps({**told, "data": data}) + "\n")

    def _progress(self, source: str, key: str) -> int:
        query = "SELECT sequence FROM progress WHERE source = ? AND key = ?"
        return (self._database.execute(query, (source, key)).fetchone() or (0,))[0]

    def _epoch_rose(self, record: Any, epoch: int) -> bool:
        place = (record.topic, record.partition)
        query = "SELECT epoch FROM epochs WHERE topic = ? AND partition = ?"
        known = (self._database.execute(query, place).fetchone() or (0,))[0]
        if epoch > known:
            self._database.execute(RAISE, (*place, epoch))
        return epoch > known

    def _ahead_of_its_turn(self, source: str, key: str, sequence: int) -> bool:
        """Something is missing before it: look once from the beginning. If it is not there either, the next epoch brings it."""
        found = (source, key, sequence)
        known = found in self._rewound_for
        self._rewound_for.add(found)
        return known


async def follow(follower: Follower, *, bootstrap: str, group: str, topics: list[str]) -> None:
    """Read until cancelled. Several processes of one group share the partitions; each then needs the same database."""
    consumer: Any = AIOKafkaConsumer(
        *topics,
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        metadata_max_age_ms=5_000,
    )
    async with consumer:
        while True:
            batches: dict[TopicPartition, list[Any]] = await consumer.getmany(timeout_ms=1_000)
            for partition, records in batches.items():
                if not follower.take(records):
                    await consumer.seek_to_beginning(partition)
            if batches:
                await consumer.commit()


async def main() -> None:
    """Follow until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bootstrap", required=True, help="host:port of Kafka")
    parser.add_argument("--group", default="follow-events", help="name of the consumer group")
    parser.add_argument("--store", type=Path, default=Path("events.sqlite"), help="where progress and effects are kept")
    parser.add_argument("topics", nargs="+", help="clawdeploy.deployments, .lifecycle, .health, .billing")
    given = parser.parse_args()
    task = asyncio.ensure_future(
        follow(Follower(given.store), bootstrap=given.bootstrap, group=given.group, topics=given.topics)
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await asyncio.gather(task, return_exceptions=True)
    if not task.cancelled():
        task.result()


if __name__ == "__main__":
    asyncio.run(main())

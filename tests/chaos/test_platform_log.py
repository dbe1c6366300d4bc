"""INVARIANT: a log emptied, delivered twice or poisoned loses nothing, does nothing twice, holds up one key only (laws 2, 3, 5)."""

import shutil
from collections.abc import AsyncGenerator, Sequence
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from clawdeploy_cli.engines.broker import CLIENT_SETTINGS
from clawdeploy_common.events import TICK_TYPE, topic_of
from clawdeploy_common.ids import new_id
from tests.chaos.whole_books import (
    CONSUMES,
    METADATA,
    books_agree,
    differences,
    equal_their_twins,
    facts,
    is_sound,
    no_dead_letters,
    one_of_everything,
    quiet,
)
from tests.chaos.whole_platform import WholePlatform, eventually, whole_platform
from tests.e2e.local import open_folder
from tests.engines.wheels import RunningBroker, RunningPostgres

TOPICS = [topic_of(service) for service in METADATA]
BROKEN = "server.destroyed.v1"
"""An event that api, monitor and billing all handle."""

_POISON = """
    WITH drawn AS (UPDATE provisioner.streams SET version = version + 1 WHERE key = $1 RETURNING key, version)
    INSERT INTO provisioner.outbox (event_id, key, version, type, time, account_id, data)
    SELECT $2, d.key, d.version, $3, clock_timestamp(), i.account_id, $4
    FROM drawn d JOIN provisioner.instances i ON i.id = d.key RETURNING version
"""
"""What a bug would leave behind: an event that its own service publishes and nobody can read."""

DROPPED = "clawdeploy_events_dropped_total"


class Engines:
    """A PostgreSQL and an embedded broker of this module's own."""

    def __init__(self) -> None:
        self.folder = open_folder()
        self.broker = RunningBroker(self.folder / "broker")
        self.postgres = RunningPostgres(self.folder / "postgres")

    @property
    def address(self) -> str:
        """The broker's."""
        return self.broker.bootstrap_servers


@pytest.fixture(scope="module")
async def engines() -> AsyncGenerator[Engines]:
    engines = Engines()
    try:
        await engines.postgres.start()
        await engines.broker.start()
        yield engines
    finally:
        engines.broker.kill()
        engines.postgres.remove()
        shutil.rmtree(engines.folder)


@pytest.fixture(scope="module")
async def platform(engines: Engines) -> AsyncGenerator[WholePlatform]:
    kafka = {"CLAWDEPLOY_KAFKA_BOOTSTRAP_SERVERS": engines.address, **CLIENT_SETTINGS}
    async with whole_platform(engines.folder / "platform", postgres=engines.postgres, kafka=kafka) as platform:
        yield platform


async def test_a_log_that_is_emptied_is_written_anew_and_nothing_happens_twice(
    platform: WholePlatform, engines: Engines
) -> None:
    before = (await platform.deploy("before"))["id"]
    await platform.reaches(before, "running")
    during = (await platform.deploy("during"))["id"]
    await platform.doing(during, "write_configuration")
    epochs = await _epochs(platform)
    engines.broker.kill()
    await engines.broker.start()

    async def risen() -> bool:
        return all(now > epochs[name] for name, now in (await _epochs(platform)).items())

    await eventually(risen)
    after = (await platform.deploy("after"))["id"]
    await is_sound(platform, before, during, after)
    for service in METADATA:
        told = await platform.rows(f"SELECT event_id::text AS id FROM {service}.outbox")  # noqa: S608 - our names
        in_log = {dict(r.headers)["ce_id"].decode() for r in await _log(engines.address, [topic_of(service)])}
        assert {row["id"] for row in told} == in_log


async def test_the_whole_log_delivered_again_changes_nothing(platform: WholePlatform, engines: Engines) -> None:
    asked = await platform.deploy("again")
    await platform.reaches(asked["id"], "running")
    await platform.spend(asked["id"])
    await books_agree(platform)
    await _at_rest(platform, asked["id"])
    before, dropped = await facts(platform), await _dropped(platform)
    records = await _log(engines.address, TOPICS)
    await _send(engines.address, [(r.topic, r.key, list(r.headers), r.value) for r in records])
    again = {name: sum(r.topic in map(topic_of, CONSUMES[name]) for r in records) for name in METADATA}
    assert all(again.values())

    async def consumed() -> bool:
        now = await _dropped(platform)
        return all(now[name] >= dropped[name] + again[name] for name in METADATA)

    await eventually(consumed)
    changed = differences(before, await facts(platform))
    assert not changed, f"a second delivery changed {changed}"
    await one_of_everything(platform, asked["id"])
    await no_dead_letters(platform)


async def test_a_poison_event_holds_up_its_own_key_only(platform: WholePlatform) -> None:
    poisoned = (await platform.deploy("poisoned"))["id"]
    shown = await platform.reaches(poisoned, "running")
    await quiet(platform)
    [drawn] = await platform.rows(_POISON, poisoned, new_id(), BROKEN, b'{"server_id": "not an id", ')

    async def listed() -> bool:
        return {letter["service"] for letter in await _letters(platform)} == {"api", "monitor", "billing"}

    await eventually(listed)
    await platform.ask("POST", f"/v1/instances/{poisoned}/stop")
    other = (await platform.deploy("healthy"))["id"]
    await platform.reaches(other, "running")
    await one_of_everything(platform, other)
    assert {letter["key"] for letter in await _letters(platform)} == {poisoned}
    waiting = await platform.instance(poisoned)
    assert waiting["status"] != "stopped", "its news wait behind the poison"
    assert waiting["deployed_at"] == shown["deployed_at"]
    for letter in await _letters(platform):
        if letter["version"] == drawn["version"]:
            assert (letter["type"], letter["key"]) == (BROKEN, poisoned)
            await platform.ask("POST", f"/v1/admin/dead-letters/{letter['service']}/{letter['id']}/drop")
    await platform.reaches(poisoned, "stopped")
    await quiet(platform)
    await no_dead_letters(platform)
    await equal_their_twins(platform)


async def test_two_provisioners_at_once_make_one_operation_and_one_server(platform: WholePlatform) -> None:
    platform.start("provisioner-two")
    try:
        deployed = [(await platform.deploy(f"twin {uuid4().hex[:6]}"))["id"] for _ in range(3)]
        await platform.doing(deployed[2], "create_server")
        platform.kill("provisioner")
        for instance_id in deployed:
            await platform.reaches(instance_id, "running")
        platform.start("provisioner")
    finally:
        platform.kill("provisioner-two")
    for instance_id in deployed:
        operations = await platform.rows("SELECT state FROM provisioner.operations WHERE instance_id = $1", instance_id)
        assert [row["state"] for row in operations] == ["succeeded"]
        await one_of_everything(platform, instance_id)
    await no_dead_letters(platform)


async def _epochs(platform: WholePlatform) -> dict[str, int]:
    found: dict[str, int] = {}
    for service in METADATA:
        [row] = await platform.rows(f"SELECT coalesce(max(log_epoch), 0) AS epoch FROM {service}.relay_state")  # noqa: S608 - our names
        found[service] = row["epoch"]
    return found


async def _letters(platform: WholePlatform) -> list[dict[str, Any]]:
    return (await platform.json("GET", "/v1/admin/dead-letters"))["items"]


async def _at_rest(platform: WholePlatform, instance_id: str) -> None:
    """Wait until monitor has told all it knows of a young agent."""

    async def told() -> bool:
        shown = await platform.rows(
            "SELECT process, channel FROM api.instance_views WHERE instance_id = $1", instance_id
        )
        return [(row["process"], row["channel"]) for row in shown] == [("healthy", "disabled")]

    await eventually(told)
    await quiet(platform)


async def _dropped(platform: WholePlatform) -> dict[str, float]:
    """How many events each service dropped because it knew them."""
    found: dict[str, float] = {}
    for service in METADATA:
        lines = (await platform.http.get(f"{platform.url(service)}/metrics")).text.splitlines()
        found[service] = sum(float(line.split()[-1]) for line in lines if line.startswith(f"{DROPPED}{{"))
    return found


async def _log(address: str, topics: Sequence[str]) -> list[Any]:
    """Every record of these topics, ticks left out."""
    consumer: Any = AIOKafkaConsumer(*topics, bootstrap_servers=address, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = consumer.assignment()
        ends = await consumer.end_offsets(partitions)
        records: list[Any] = []
        while [at for at in partitions if await consumer.position(at) < ends[at]]:
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                records += batch
    finally:
        await consumer.stop()
    return [record for record in records if dict(record.headers)["ce_type"] != TICK_TYPE.encode()]


async def _send(address: str, records: Sequence[tuple[str, bytes, list[tuple[str, bytes]], bytes]]) -> None:
    producer: Any = AIOKafkaProducer(bootstrap_servers=address, enable_idempotence=False)
    await producer.start()
    try:
        for topic, key, headers, value in records:
            await producer.send_and_wait(topic, value, key=key, headers=headers)
    finally:
        await producer.stop()

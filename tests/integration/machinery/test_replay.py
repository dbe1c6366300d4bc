"""Law 4: a projection can be thrown away."""

import asyncio
from uuid import UUID, uuid4

import pytest
from tests.integration.machinery.machine import Machine, eventually
from tests.integration.machinery.records import parked
from tests.integration.machinery.throwaway.events import Counted

from clawdeploy_common.errors import LogIncomplete, TemporaryError

KEYS = [UUID(int=number) for number in range(1, 11)]


async def fill(producer: Machine, rounds: int) -> None:
    async with producer.database.transaction() as unit:
        for _ in range(rounds):
            for key in KEYS:
                unit.outbox.add(Counted(amount=1), key=key)


async def consumed(producer: Machine, consumer: Machine) -> bool:
    """Whether the consumer applied or parked everything that was emitted."""
    emitted = await producer.scalar("SELECT coalesce(sum(version), 0) FROM streams")
    return emitted == await consumer.scalar(
        "SELECT coalesce(sum(greatest(p.version, coalesce(q.version, 0))), 0) FROM progress p "
        "LEFT JOIN (SELECT source, key, max(version) AS version FROM parked_events WHERE kind = 'projector' GROUP BY 1, 2) q "
        "USING (source, key) WHERE p.kind = 'projector'"
    )


async def settle(producer: Machine, consumer: Machine) -> None:
    async def settled() -> bool:
        return await consumed(producer, consumer)

    async with producer.running(), consumer.running():
        await eventually(settled)


async def test_a_rebuilt_projection_equals_its_twin_and_nothing_else_happens(
    producer: Machine, consumer: Machine
) -> None:
    """INVARIANT: a replay rebuilds the same rows; it emits nothing, calls no reactor, changes no owned row."""
    consumer.handlers.echoes = True
    await fill(producer, 20)
    await settle(producer, consumer)
    twin, reacted, calls = await consumer.tallied(), await consumer.reacted(), consumer.handlers.reactor_calls
    outbox = await consumer.scalar("SELECT count(*) FROM outbox")
    await consumer.rows("UPDATE tallies SET total = -1 RETURNING key")
    done = await consumer.replay.run()
    assert done.events == 20 * len(KEYS)
    assert await consumer.tallied() == twin
    assert await consumer.reacted() == reacted
    assert (await consumer.scalar("SELECT count(*) FROM outbox"), consumer.handlers.reactor_calls) == (outbox, calls)
    await producer.emit(KEYS[0], 5)
    await settle(producer, consumer)
    assert (await consumer.tallied())[KEYS[0]] == (25, 21, 21)


async def test_readers_and_consumers_under_a_replay_never_see_a_mix(producer: Machine, consumer: Machine) -> None:
    """INVARIANT: while events arrive and a replay runs, every read sees each key's total only grow; nothing is lost or doubled."""
    await fill(producer, 10)
    await settle(producer, consumer)
    stop = asyncio.Event()
    floor = 10 * len(KEYS)
    reads = 0

    async def read() -> None:
        nonlocal floor, reads
        while not stop.is_set():
            total, events = (await consumer.rows("SELECT sum(total) AS t, sum(events) AS e FROM tallies"))[0]
            assert total == events >= floor
            floor, reads = total, reads + 1

    async def emit() -> None:
        while not stop.is_set():
            await fill(producer, 3)
            await asyncio.sleep(0.1)

    async with producer.running(), consumer.running():
        reader, emitter = asyncio.create_task(read()), asyncio.create_task(emit())
        for _ in range(2):
            await consumer.replay.run()
        stop.set()
        await asyncio.gather(reader, emitter)
    await settle(producer, consumer)
    emitted = await producer.scalar("SELECT count(*) FROM outbox") // len(KEYS)
    assert await consumer.tallied() == dict.fromkeys(KEYS, (emitted, emitted, emitted))
    assert reads > 5


async def test_a_replay_with_a_dead_and_with_a_dropped_letter(producer: Machine, consumer: Machine) -> None:
    """INVARIANT: a dead letter stays its key's end in the rebuilt projection; a dropped one is skipped again; a cured one applies."""
    dead, dropped, fine = uuid4(), uuid4(), uuid4()
    for key in (dead, dropped):
        await producer.emit(key, 1)
        await producer.emit(key, 1, poison="projector:permanent")
        await producer.emit(key, 1)
    await producer.emit(fine, 1, 1)
    await settle(producer, consumer)
    [letter] = await consumer.rows("SELECT id FROM parked_events WHERE state = 'dead' AND key = :key", key=dropped)
    await consumer.dead_letters.drop(letter.id)
    await consumer.drainer.drain()
    before = {dead: (1, 1, 1), dropped: (2, 2, 3), fine: (2, 2, 2)}
    assert await consumer.tallied() == before
    await consumer.replay.run()
    assert await consumer.tallied() == before
    assert sorted(state for _, _, state in await parked(consumer, "projector")) == ["dead", "dropped", "parked"]
    consumer.handlers.cured = True
    await consumer.replay.run()
    assert await consumer.tallied() == {**before, dead: (3, 3, 3)}
    assert [state for _, _, state in await parked(consumer, "projector")] == ["dropped"]


async def test_a_log_that_begins_ahead_of_its_turn_is_replayed_whole(producer: Machine, consumer: Machine) -> None:
    """INVARIANT: what a relay published before it noticed that the log was emptied, and then again in order, rebuilds the same rows."""
    await producer.emit(KEYS[0], 1, 1, 1, 1)
    await producer.rows("UPDATE outbox SET published_at = now() WHERE version < 3 RETURNING id")

    async def published() -> bool:
        return await producer.scalar("SELECT count(*) FROM outbox WHERE published_at IS NULL") == 0

    async with producer.running(producer.relay.run):
        await eventually(published)
        await producer.rows("UPDATE outbox SET published_at = NULL RETURNING id")
        await eventually(published)

    async def applied() -> bool:
        return await consumer.tallied() == {KEYS[0]: (4, 4, 4)}

    async with consumer.running():
        await eventually(applied)
    await consumer.replay.run()
    assert await applied()
    assert await parked(consumer, "projector") == []


async def test_a_replay_from_a_shorter_log_changes_nothing(producer: Machine, consumer: Machine) -> None:
    """INVARIANT: a log that does not hold everything that was applied is refused, and the projection stays."""
    await fill(producer, 3)
    await settle(producer, consumer)
    before = await consumer.tallied()
    await consumer.rows("UPDATE progress SET version = version + 1 WHERE key = :key RETURNING key", key=KEYS[0])
    with pytest.raises(LogIncomplete):
        await consumer.replay.run()
    assert await consumer.tallied() == before


async def test_a_replay_that_meets_a_new_defect_changes_nothing(producer: Machine, consumer: Machine) -> None:
    """INVARIANT: when an event that had been applied fails in the replay, the replay is refused and the projection stays."""
    consumer.handlers.cured = True
    await producer.emit(KEYS[0], 1, poison="projector:value")
    await producer.emit(KEYS[1], 1)
    await settle(producer, consumer)
    before = await consumer.tallied()
    consumer.handlers.cured = False
    with pytest.raises(TemporaryError, match="fail now"):
        await consumer.replay.run()
    assert await consumer.tallied() == before


async def test_a_replay_without_a_broker_changes_nothing(consumer: Machine, unused_port: int) -> None:
    """INVARIANT: a replay that cannot read the log says so, and lets consumers go on."""
    settings = consumer.settings.model_copy(update={"kafka_bootstrap_servers": f"127.0.0.1:{unused_port}"})
    stranded = Machine("provisioner", settings, consumes=["api"])
    with pytest.raises(TemporaryError):
        await stranded.replay.run()
    await stranded.database.close()

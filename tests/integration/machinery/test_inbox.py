"""Law 2: an event is applied once, in order."""

import asyncio
import random
from uuid import uuid4

import pytest
from tests.integration.machinery.machine import Machine, eventually
from tests.integration.machinery.records import parked, record, stream
from tests.integration.machinery.throwaway.events import Counted, Ignored

from clawdeploy_common.outages import DATABASE_ERRORS, is_outage


async def test_a_duplicate_is_applied_once(consumer: Machine) -> None:
    """INVARIANT: within a batch, in the next batch, after a restart: an event has its effect once."""
    key = uuid4()
    records = stream(key, 5)
    await consumer.inbox.receive([*records, *records])
    await consumer.inbox.receive(records)
    assert await consumer.tallied() == {key: (5, 5, 5)}
    assert await consumer.reacted() == {key: [1, 2, 3, 4, 5]}
    assert await parked(consumer) == []


async def test_whole_batches_redelivered_in_any_order_change_nothing(consumer: Machine) -> None:
    """INVARIANT: batches again, in any order and cut anywhere, leave every key applied once and in order."""
    keys = [uuid4() for _ in range(8)]
    log = [record for version in zip(*(stream(key, 20) for key in keys), strict=True) for record in version]
    batches = [log[at : at + 23] for at in range(0, len(log), 23)]
    chance = random.Random(7)  # noqa: S311 - a shuffle, no secret
    seen: list[int] = []
    for number in range(len(batches)):
        seen.append(number)
        for again in chance.sample(seen, k=min(3, len(seen))):
            await consumer.inbox.receive(batches[again])
        await consumer.inbox.receive(batches[number])
    assert await consumer.reacted() == {key: list(range(1, 21)) for key in keys}
    assert await consumer.tallied() == dict.fromkeys(keys, (20, 20, 20))


async def test_shuffled_batches_end_applied_in_order(consumer: Machine) -> None:
    """INVARIANT: events ahead of their turn wait parked, and are applied in order when what was missing came."""
    keys = [uuid4() for _ in range(4)]
    log = [record for key in keys for record in stream(key, 12)]
    random.Random(3).shuffle(log)  # noqa: S311 - a shuffle, no secret
    for at in range(0, len(log), 10):
        await consumer.inbox.receive(log[at : at + 10])

    async def applied() -> bool:
        return await consumer.tallied() == dict.fromkeys(keys, (12, 12, 12)) and not await parked(consumer)

    async with consumer.running(consumer.drainer.run):
        await eventually(applied)
    assert await consumer.reacted() == {key: list(range(1, 13)) for key in keys}
    assert await parked(consumer, "projector") == []


async def test_a_type_without_a_handler_advances_its_key(consumer: Machine) -> None:
    """INVARIANT: what a service ignores still counts, or the next event would look like a gap."""
    key = uuid4()
    await consumer.inbox.receive([record(key, 1, Ignored()), record(key, 2), record(key, 3, Ignored()), record(key, 4)])
    assert await consumer.reacted() == {key: [2, 4]}
    assert await parked(consumer) == []


async def test_two_replicas_with_the_same_batch_apply_it_once(consumer: Machine) -> None:
    """INVARIANT: replicas that consume the same records at once, as around a rebalance, apply each once."""
    keys = [uuid4() for _ in range(30)]
    log = [record for key in keys for record in stream(key, 10)]
    twin = Machine("provisioner", consumer.settings, consumes=["api"])
    chance = random.Random(5)  # noqa: S311 - a shuffle, no secret

    async def consume(machine: Machine) -> None:
        order = keys.copy()
        chance.shuffle(order)
        batch = sorted(log, key=lambda r: (r.envelope.version if r.envelope else 0, chance.random()))
        for at in range(0, len(batch), 50):
            await machine.inbox.receive(batch[at : at + 50])

    await asyncio.gather(*(consume(machine) for machine in (consumer, twin, consumer, twin)))
    assert await consumer.reacted() == {key: list(range(1, 11)) for key in keys}
    assert await consumer.tallied() == dict.fromkeys(keys, (10, 10, 10))
    await twin.database.close()


async def test_a_batch_that_meets_an_outage_records_nothing(consumer: Machine) -> None:
    """INVARIANT: when the database goes away in the middle of a batch, the batch is refused whole and offered again."""
    key = uuid4()
    records = stream(key, 3)
    cut = False

    async def cut_off() -> None:
        nonlocal cut
        if not cut:
            cut = True
            await consumer.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
            )

    consumer.handlers.before_reaction = cut_off
    with pytest.raises(DATABASE_ERRORS) as caught:
        await consumer.inbox.receive(records)
    assert is_outage(caught.value)
    assert await consumer.tallied() == {}
    await consumer.inbox.receive(records)
    assert await consumer.reacted() == {key: [1, 2, 3]}


async def test_effects_of_a_reactor_carry_their_cause(consumer: Machine) -> None:
    """INVARIANT: an event that a reactor emits names the event that led to it, and its account."""
    key, account = uuid4(), uuid4()
    consumer.handlers.echoes = True
    cause = record(key, 1, Counted(amount=3), account_id=account)
    await consumer.inbox.receive([cause])
    [row] = await consumer.rows("SELECT causation_id, account_id, version FROM outbox")
    assert cause.envelope is not None
    assert (row.causation_id, row.account_id, row.version) == (cause.envelope.id, account, 1)

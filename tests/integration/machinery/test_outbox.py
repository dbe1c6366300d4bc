"""Law 1: state change and event commit together."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from uuid import UUID, uuid4

import pytest
from asyncpg import PostgresError
from sqlalchemy import text
from tests.integration.machinery.machine import Machine
from tests.integration.machinery.throwaway.events import Counted, Ignored
from tests.integration.machinery.throwaway.models import INSERT_REACTION

from clawdeploy_common.errors import EventTooLarge
from clawdeploy_common.events import MAX_EVENT_BYTES
from clawdeploy_common.outages import DATABASE_ERRORS
from clawdeploy_common.work import UnitOfWork

WRITERS, ROUNDS, KEYS = 50, 12, 4


class Oops(Exception):
    """A failure in the middle of a request."""


async def change(machine: Machine, key: UUID, *, then: Callable[[UnitOfWork], Awaitable[None]] | None = None) -> None:
    """Change state, announce it, draw the version; then whatever happens before the commit."""
    async with machine.database.transaction() as unit:
        await unit.session.execute(INSERT_REACTION, {"key": key, "version": 1, "note": "changed"})
        unit.outbox.add(Counted(amount=1), key=key)
        await unit.flush()
        if then:
            await then(unit)


async def fail(unit: UnitOfWork) -> None:
    """End the transaction when its versions are drawn."""
    await unit.flush()
    raise Oops


async def counts(machine: Machine) -> tuple[int, int, int]:
    [row] = await machine.rows(
        "SELECT (SELECT count(*) FROM reactions) AS a, (SELECT count(*) FROM outbox) AS b, (SELECT count(*) FROM streams) AS c"
    )
    return row.a, row.b, row.c


async def test_state_and_event_commit_together(producer: Machine) -> None:
    """INVARIANT: a committed state change has its event."""
    await change(producer, uuid4())
    assert await counts(producer) == (1, 1, 1)


async def test_a_rollback_leaves_neither_state_nor_event(producer: Machine) -> None:
    """INVARIANT: what was rolled back was never announced, and draws no version."""
    key = uuid4()
    with pytest.raises(Oops):
        await change(producer, key, then=fail)
    assert await counts(producer) == (0, 0, 0)
    await producer.emit(key, 1)
    assert await producer.scalar("SELECT version FROM outbox") == 1


async def test_a_crash_before_the_commit_leaves_neither(producer: Machine) -> None:
    """INVARIANT: a connection that dies between the event and the commit leaves neither."""
    key = uuid4()

    async def cut(unit: UnitOfWork) -> None:
        mine = await unit.session.scalar(text("SELECT pg_backend_pid()"))
        await producer.scalar("SELECT pg_terminate_backend(:pid)", pid=mine)

    with pytest.raises(DATABASE_ERRORS):
        await change(producer, key, then=cut)
    assert await counts(producer) == (0, 0, 0)


async def test_versions_are_gapless_under_many_writers(producer: Machine) -> None:
    """INVARIANT: every stream counts 1, 2, 3 … in outbox order, whoever writes; several keys in any order never deadlock."""
    keys = [uuid4() for _ in range(KEYS)]

    async def write(seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - a shuffle, no secret
        for number in range(ROUNDS):
            with suppress(Oops):
                async with producer.database.transaction() as unit:
                    for key in chance.choices(keys, k=chance.randint(1, 5)):
                        unit.outbox.add(Counted(amount=number), key=key)
                    if chance.random() < 0.2:
                        await fail(unit)

    await asyncio.gather(*(write(seed) for seed in range(WRITERS)))
    versions: defaultdict[UUID, list[int]] = defaultdict(list)
    for row in await producer.rows("SELECT key, version FROM outbox ORDER BY id"):
        versions[row.key].append(row.version)
    assert set(versions) == set(keys)
    for found in versions.values():
        assert found == list(range(1, len(found) + 1))


async def test_events_of_one_transaction_keep_their_order(producer: Machine) -> None:
    """INVARIANT: the outbox holds events in the order in which they were added."""
    one, other = uuid4(), uuid4()
    async with producer.database.transaction() as unit:
        for number in range(60):
            unit.outbox.add(Counted(amount=number), key=one if number % 3 else other)
    rows = await producer.rows("SELECT key, version, data FROM outbox ORDER BY id")
    assert [Counted.model_validate_json(row.data).amount for row in rows] == list(range(60))
    assert [row.version for row in rows if row.key == one] == list(range(1, 41))


async def test_an_event_too_large_is_refused_before_the_commit(producer: Machine) -> None:
    """INVARIANT: an oversize event fails the transaction that would announce it, not the relay."""

    async def announce_too_much(unit: UnitOfWork) -> None:
        unit.outbox.add(Ignored(note="x" * MAX_EVENT_BYTES), key=uuid4())

    with pytest.raises(EventTooLarge):
        await change(producer, uuid4(), then=announce_too_much)
    assert await counts(producer) == (0, 0, 0)


async def test_the_web_role_adds_events_and_jobs_and_reads_neither(producer: Machine) -> None:
    """INVARIANT: who serves requests can announce, and cannot read what others announced."""
    async with producer.database.web_transaction(uuid4()) as unit:
        unit.outbox.add(Counted(amount=1), key=uuid4())
        await unit.jobs.add("mail", dedupe_key="a", payload={})
        await unit.jobs.add("mail", dedupe_key="a", payload={})
    assert await producer.scalar("SELECT count(*) FROM outbox") == 1
    assert await producer.scalar("SELECT count(*) FROM jobs") == 1
    for table in ("outbox", "jobs", "parked_events", "progress"):
        with pytest.raises(PostgresError, match="permission denied"):
            async with producer.database.web_transaction(None) as unit:
                await unit.session.execute(text(f"TABLE {table}"))

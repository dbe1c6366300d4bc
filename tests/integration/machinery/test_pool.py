"""Connections come back clean, whatever happened to them; nothing is committed that was not meant to be."""

import asyncio
from uuid import uuid4

import pytest
from asyncpg import PostgresError
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import TextClause, text
from tests.engines.wheels import RunningPostgres
from tests.integration.machinery.machine import Machine
from tests.integration.machinery.throwaway.models import INSERT_REACTION

from clawdeploy_common import tracing
from clawdeploy_common.database import Database
from clawdeploy_common.ids import new_id
from clawdeploy_common.outages import DATABASE_ERRORS, is_outage
from clawdeploy_common.pool import NotCommitted, Pool
from clawdeploy_common.session import Session

_ANSWER = text("SELECT 1")
_PID = text("SELECT pg_backend_pid()")
_SLEEP = text("SELECT pg_sleep(60)")
_WRONG = text("SELECT 1 / 0")


async def react(machine: Machine, *, then: TextClause | None = None) -> None:
    async with machine.database.transaction() as unit:
        await unit.session.execute(INSERT_REACTION, {"key": new_id(), "version": 1, "note": "changed"})
        if then is not None:
            await unit.session.execute(then)


async def reactions(machine: Machine) -> int:
    found: int = await machine.scalar("SELECT count(*) FROM reactions")
    return found


async def test_a_transaction_cancelled_in_the_middle_of_a_statement_is_rolled_back(producer: Machine) -> None:
    """INVARIANT: who is cancelled commits nothing, holds nothing, and leaves no connection that cannot be used."""
    for _ in range(30):  # more than the pool has
        task = asyncio.create_task(react(producer, then=_SLEEP))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await reactions(producer) == 0
    left = "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle' AND pid <> pg_backend_pid() AND application_name = :name"
    assert await producer.scalar(left, name=f"clawdeploy-{producer.database.producer}") == 0
    await react(producer)
    assert await reactions(producer) == 1


async def test_connections_nobody_needs_any_more_are_closed(producer: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clawdeploy_common.pool._KEPT_S", 0.2)
    pool = Pool(producer.settings.database_url.get_secret_value(), schema="api", size=5, idle_s=30)
    held = asyncio.Barrier(5)

    async def hold() -> int:
        async with pool.autocommit() as session:
            pid: int = (await session.execute(_PID)).scalar_one()
            await held.wait()
            return pid

    pids = await asyncio.gather(*(hold() for _ in range(5)))
    assert len(set(pids)) == 5
    async with asyncio.timeout(60):
        while await producer.scalar("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(:pids)", pids=pids):
            await asyncio.sleep(0.05)
    async with pool.autocommit() as session:
        assert (await session.execute(_PID)).scalar_one() not in pids
    await pool.close()


async def test_an_error_that_was_passed_over_is_not_taken_for_a_commit(producer: Machine) -> None:
    """INVARIANT: a transaction that the server gave up does not look like one that was committed."""

    async def pass_over() -> None:
        async with producer.database.transaction() as unit:
            await unit.session.execute(INSERT_REACTION, {"key": new_id(), "version": 1, "note": "changed"})
            with pytest.raises(PostgresError):
                await unit.session.execute(_WRONG)

    with pytest.raises(NotCommitted):
        await pass_over()
    assert await reactions(producer) == 0


async def test_a_savepoint_undoes_its_own_part_only(producer: Machine) -> None:
    async def undone(session: Session) -> None:
        async with session.begin_nested():
            await session.execute(INSERT_REACTION, {"key": new_id(), "version": 1, "note": "undone"})
            await session.execute(_WRONG)

    async with producer.database.transaction() as unit:
        await unit.session.execute(INSERT_REACTION, {"key": new_id(), "version": 1, "note": "kept"})
        with pytest.raises(PostgresError):
            await undone(unit.session)
    assert [row.note for row in await producer.rows("SELECT note FROM reactions")] == ["kept"]


async def test_a_connection_that_was_cut_is_an_outage_and_is_replaced(producer: Machine) -> None:
    cut = text("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(DATABASE_ERRORS) as caught:
        await react(producer, then=cut)
    assert is_outage(caught.value)
    await react(producer)
    assert await reactions(producer) == 1


async def test_a_pool_outlives_its_server(own_postgres: RunningPostgres) -> None:
    """INVARIANT: a server that was killed takes what was not committed with it; when it is back, nobody meets a dead connection."""
    pool = Pool(own_postgres.admin_url, schema="public", size=3, idle_s=30)
    insert, count = text("INSERT INTO kept (note) VALUES (:note)"), text("SELECT count(*) FROM kept")
    inside, killed = asyncio.Barrier(4), asyncio.Event()

    async def write(note: str) -> None:
        async with pool.transaction() as session:
            await session.execute(insert, {"note": note})

    async def interrupted() -> None:
        async with pool.transaction() as session:
            await session.execute(insert, {"note": "lost"})
            await inside.wait()
            await killed.wait()

    async with pool.transaction() as session:
        await session.execute(text("CREATE TABLE kept (note text)"))
    await asyncio.gather(*(write("kept") for _ in range(3)))
    lives = [asyncio.create_task(interrupted()) for _ in range(3)]
    await inside.wait()
    own_postgres.kill()
    killed.set()
    ends = await asyncio.gather(*lives, return_exceptions=True)
    assert [isinstance(end, Exception) and is_outage(end) for end in ends] == [True] * 3
    with pytest.raises((OSError, *DATABASE_ERRORS)) as away:
        await write("never")
    assert is_outage(away.value)
    await own_postgres.start()
    await asyncio.gather(*(write("kept") for _ in range(6)))
    async with pool.autocommit() as session:
        assert await session.scalar(count) == 9
    await pool.close()


async def test_who_finds_no_connection_free_is_told_so_in_time(
    producer: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool(producer.settings.database_url.get_secret_value(), schema="api", size=1, idle_s=30)
    async with pool.transaction() as session:
        monkeypatch.setattr("clawdeploy_common.pool._WAIT_S", 0.1)
        with pytest.raises(TimeoutError) as caught:
            async with pool.transaction():
                pass
        assert is_outage(caught.value)
        monkeypatch.undo()
        assert await session.scalar(_ANSWER) == 1
    async with pool.transaction() as session:
        assert await session.scalar(_ANSWER) == 1
    await pool.close()


async def test_a_transaction_whose_owner_stands_still_is_ended(producer: Machine) -> None:
    """INVARIANT: a process that is frozen in a transaction holds its locks for a while, not for ever."""
    pool = Pool(producer.settings.database_url.get_secret_value(), schema="api", size=3, idle_s=1)
    lock = text("SELECT pg_advisory_xact_lock(7)")

    async def stand_still() -> None:
        async with pool.transaction() as frozen:
            await frozen.execute(lock)
            async with asyncio.timeout(30), pool.transaction() as waiting:
                await waiting.execute(lock)
            await frozen.execute(_ANSWER)

    with pytest.raises(DATABASE_ERRORS) as caught:
        await stand_still()
    assert is_outage(caught.value)
    async with pool.transaction() as session:
        await session.execute(lock)
    await pool.close()


async def test_a_table_that_a_migration_changes_costs_one_try(producer: Machine) -> None:
    """INVARIANT: a statement prepared for the table as it was is no event's and no request's fault, and is prepared anew."""
    pool = Pool(producer.settings.database_url.get_secret_value(), schema="api", size=3, idle_s=30)
    everything = text("SELECT * FROM reactions")

    async def on_every_connection() -> None:
        together = asyncio.Barrier(3)

        async def look() -> None:
            async with pool.transaction() as session:
                await session.execute(everything)
                await together.wait()

        await asyncio.gather(*(look() for _ in range(3)))

    await on_every_connection()
    await producer.scalar("ALTER TABLE reactions ADD COLUMN newer text")
    with pytest.raises(DATABASE_ERRORS) as caught:
        async with pool.transaction() as session:
            await session.execute(everything)
    assert is_outage(caught.value)
    await on_every_connection()
    await pool.close()


async def test_the_wall_ends_with_its_transaction(producer: Machine) -> None:
    """INVARIANT: whatever ends a transaction, the next one on its connection is behind no account's wall."""
    account, seen = uuid4(), text("SELECT current_setting('clawdeploy.account', true)")
    pool = Pool(producer.settings.database_web_url.get_secret_value(), schema="api", size=1, idle_s=30)
    producer.database.web = pool
    async with producer.database.web_transaction(account) as unit:
        assert await unit.session.scalar(seen) == str(account)
    with pytest.raises(PostgresError):
        async with producer.database.web_transaction(account) as unit:
            await unit.session.execute(_WRONG)
    async with pool.autocommit() as session:
        assert not await session.scalar(seen)
    async with producer.database.web_transaction(None) as unit:
        assert not await unit.session.scalar(seen)


@pytest.mark.parametrize("wanted", [True, False])
async def test_a_statement_of_a_trace_is_a_span_when_asked_for(
    producer: Machine, monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    """INVARIANT: a statement's span holds its text and no value."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    monkeypatch.setattr(tracing, "is_recording", lambda: True)
    database = Database(producer.settings.model_copy(update={"trace_sql": wanted}), producer="api")
    with tracing.span("asked"):
        async with database.transaction() as unit:
            await unit.session.execute(INSERT_REACTION, {"key": new_id(), "version": 1, "note": "a value"})
    await database.close()
    *statements, asked = exporter.get_finished_spans()
    assert asked.name == "asked"
    assert [span.name for span in statements] == ["INSERT"] * wanted
    for span in statements:
        assert span.parent == asked.context
        assert (span.attributes or {})["db.system.name"] == "postgresql"
        assert "INSERT INTO reactions" in str((span.attributes or {})["db.query.text"])
        assert "a value" not in str(span.attributes)


async def test_values_keep_their_names_as_attributes_and_keys(producer: Machine) -> None:
    [row] = await producer.rows("SELECT 1 AS a, CAST('{\"b\": [2]}' AS jsonb) AS found")
    assert (row.a, row["found"], row[1]) == (1, {"b": [2]}, {"b": [2]})
    assert not hasattr(row, "c")

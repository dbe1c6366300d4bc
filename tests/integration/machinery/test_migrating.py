"""Migrations run by themselves, beside other replicas, beside older code, and beside traffic."""

import asyncio
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs
from tests.engines.databases import Database, Postgres
from tests.integration.machinery import throwaway
from tests.integration.machinery.throwaway.models import metadata

from clawdeploy_common.migrating import differences, migrate

SECOND = """
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    op.execute("CREATE TABLE more (id INT)")
    op.execute("ALTER TABLE outbox ADD COLUMN colour TEXT")
"""


@pytest.fixture
async def empty(postgres: Postgres) -> AsyncGenerator[Database]:
    database = await postgres.create()
    yield database
    await postgres.drop(database)


@pytest.fixture
def next_release(tmp_path: Path) -> str:
    """The throw-away service with one revision more."""
    shutil.copytree(Path(throwaway.__file__).parent / "migrations", tmp_path / "migrations")
    (tmp_path / "migrations" / "versions" / "0002_colour.py").write_text(SECOND)
    return str(tmp_path / "__init__.py")


async def to_newest(database: Database, *, package_file: str = throwaway.__file__) -> None:
    await migrate(database.url("api"), schema="api", package_file=package_file, metadata=metadata)


async def revision(database: Database) -> str:
    connection = await asyncpg.connect(database.url("api"))
    try:
        return str(await connection.fetchval("SELECT version_num FROM api.schema_version"))
    finally:
        await connection.close()


async def test_replicas_that_start_together_migrate_once(empty: Database) -> None:
    """INVARIANT: replicas that start together bring the schema up to date once; models and migrations agree."""
    with capture_logs() as logs:
        await asyncio.gather(*(to_newest(empty) for _ in range(4)))
    assert [line["event"] for line in logs] == ["schema.migrated"]
    assert await differences(empty.url("api"), schema="api", metadata=metadata) == []


async def test_older_code_starts_on_a_newer_schema(empty: Database, next_release: str) -> None:
    """INVARIANT: a replica of the release before that is restarted in the middle of an update serves on."""
    await to_newest(empty, package_file=next_release)
    with capture_logs() as logs:
        await to_newest(empty)
    assert logs == [{"event": "schema.newer", "log_level": "info", "revision": "0002", "ours": "0001"}]
    assert await revision(empty) == "0002"


async def test_a_migration_that_gets_no_lock_lets_the_traffic_pass_and_tries_again(
    empty: Database, next_release: str
) -> None:
    """INVARIANT: a migration never stands in the way for longer than a second, and leaves nothing half done."""
    await to_newest(empty)
    report, visitor = [await asyncpg.connect(empty.url("api")) for _ in range(2)]
    try:
        with capture_logs() as logs:
            long_report = report.transaction()
            await long_report.start()
            await report.execute("SELECT FROM api.outbox")
            migrating = asyncio.create_task(to_newest(empty, package_file=next_release))
            async with asyncio.timeout(30):
                while sum(line["event"] == "migration.waiting" for line in logs) < 2:
                    await visitor.execute("INSERT INTO api.streams (key, version) VALUES (gen_random_uuid(), 0)")
                    await visitor.fetch("SELECT FROM api.outbox", timeout=10)
                    await asyncio.sleep(0.05)
            assert (await revision(empty), migrating.done()) == ("0001", False)
            assert await visitor.fetchval("SELECT to_regclass('api.more')") is None
            await long_report.rollback()
            await asyncio.wait_for(migrating, 30)
        assert "lock timeout" in logs[0]["error"]
        assert await revision(empty) == "0002"
    finally:
        await report.close()
        await visitor.close()

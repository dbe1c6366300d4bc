"""Migrations: each service brings its own schema up to date when it starts, one replica at a time (expand, then contract)."""

import asyncio
from pathlib import Path
from typing import Any

import structlog
from asyncpg import PostgresError
from sqlalchemy import MetaData, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from clawdeploy_common.outages import is_outage, sqlstate

log = structlog.get_logger()

_LOCK = 0x6D696772  # "migr"
_VERSION_TABLE = "schema_version"
_LOCK_NOT_AVAILABLE = "55P03"
_TURN_S, _TABLE_S = 10, 1
"""How long to wait for another replica that migrates, which disturbs nobody, and for a table: whoever comes later waits behind us."""


async def migrate(database_url: str, *, schema: str, package_file: str, metadata: MetaData) -> None:
    """Bring the schema to this code's revision; waits while the database is away or a table is in use for long.

    A schema that is ahead of this code is left alone: a newer release's replica was here first, and its schema serves us too.
    ``package_file`` is the ``__file__`` of the service's package; its revisions are in ``migrations/versions`` beside it.
    """
    delay = 0.2
    while True:
        try:
            return await _migrate(
                database_url, schema=schema, directory=Path(package_file).parent / "migrations", metadata=metadata
            )
        except Exception as error:
            cause = _cause(error)
            if not is_outage(cause) and not isinstance(cause, OSError) and not _is_busy(cause):
                raise
            log.warning("migration.waiting", schema=schema, error=f"{type(error).__name__}: {error}", retry_s=delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5.0)


def _cause(error: BaseException) -> BaseException:
    """The driver's own error: migrations go through SQLAlchemy, which wraps it twice."""
    return (error.orig.__cause__ or error) if isinstance(error, DBAPIError) and error.orig else error


def _is_busy(error: BaseException) -> bool:
    """Whether somebody else holds a lock: another replica that migrates, or a long query on a table we change."""
    return isinstance(error, PostgresError) and sqlstate(error) == _LOCK_NOT_AVAILABLE


async def _migrate(database_url: str, *, schema: str, directory: Path, metadata: MetaData) -> None:
    engine = _engine(database_url, schema)
    try:
        async with engine.begin() as connection:
            await connection.execute(text(f"SET LOCAL lock_timeout = '{_TURN_S}s'"))
            await connection.execute(
                text("SELECT pg_advisory_xact_lock(:lock, hashtext(current_schema()))"), {"lock": _LOCK}
            )
            await connection.execute(text(f"SET LOCAL lock_timeout = '{_TABLE_S}s'"))
            await connection.run_sync(_upgrade, directory, metadata)
    finally:
        await engine.dispose()


def _engine(database_url: str, schema: str) -> AsyncEngine:
    return create_async_engine(
        "postgresql+asyncpg://" + database_url.split("://", 1)[1],
        poolclass=NullPool,
        connect_args={"server_settings": {"search_path": schema}, "timeout": 5},
    )


def _upgrade(connection: Connection, directory: Path, metadata: MetaData) -> None:
    from alembic.migration import MigrationContext  # noqa: PLC0415 - 8 MB that only a migration needs
    from alembic.operations import Operations  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    script = ScriptDirectory(str(directory))

    def steps(current: Any, _context: Any) -> Any:
        return script._upgrade_revs("head", current)  # pyright: ignore[reportPrivateUsage] - alembic's own command does the same

    context = MigrationContext.configure(
        connection, opts={"version_table": _VERSION_TABLE, "fn": steps, "target_metadata": metadata, "script": script}
    )
    before = context.get_current_revision()
    if before is not None and before not in {revision.revision for revision in script.walk_revisions()}:
        log.info("schema.newer", revision=before, ours=script.get_current_head())
        return
    with Operations.context(context):
        context.run_migrations()
    after = context.get_current_revision()
    if before != after:
        log.info("schema.migrated", from_revision=before, to_revision=after)


async def differences(database_url: str, *, schema: str, metadata: MetaData) -> list[Any]:
    """What autogenerate would change: empty when migrations and models agree."""
    engine = _engine(database_url, schema)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_differences, metadata)
    finally:
        await engine.dispose()


def _differences(connection: Connection, metadata: MetaData) -> list[Any]:
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415
    from alembic.migration import MigrationContext  # noqa: PLC0415

    def ours(name: str | None, kind: str, _parent: Any) -> bool:
        return not (kind == "table" and name == _VERSION_TABLE)

    options = {"version_table": _VERSION_TABLE, "include_name": ours, "compare_type": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

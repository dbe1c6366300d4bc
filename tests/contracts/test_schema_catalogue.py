"""The rule of migrations, "expand, then contract", tells what breaks older code from what does not."""

from collections.abc import AsyncGenerator

import asyncpg
import pytest

from tests.contracts.schema_catalogue import broken_promises, catalogue_of
from tests.engines.databases import Database

OLD = """
    CREATE TABLE api.things (id INT PRIMARY KEY, name VARCHAR(40), kind TEXT NOT NULL DEFAULT 'plain', CHECK (kind <> 'odd'));
    GRANT SELECT, INSERT (id, name) ON api.things TO api_web;
"""
HARMLESS = """
    CREATE TABLE api.more (id INT PRIMARY KEY, thing INT NOT NULL UNIQUE REFERENCES api.things (id), CHECK (id > 0));
    ALTER TABLE api.things ADD COLUMN colour TEXT, ADD COLUMN size INT NOT NULL DEFAULT 1;
    ALTER TABLE api.things DROP CONSTRAINT things_kind_check;
    CREATE INDEX ON api.things (name);
    GRANT UPDATE ON api.things TO api_web;
"""
HARMFUL = {
    "DROP TABLE api.things": ["things.id is gone", "things.kind is gone", "things.name is gone"],
    "ALTER TABLE api.things DROP COLUMN name": ["things.name is gone"],
    "ALTER TABLE api.things RENAME COLUMN name TO title": ["things.name is gone"],
    "ALTER TABLE api.things ALTER name TYPE VARCHAR(20)": [
        "things.name was character varying(40) and is character varying(20)"
    ],
    "ALTER TABLE api.things ALTER name SET NOT NULL": ["things.name must not be empty any more"],
    "ALTER TABLE api.things ALTER kind DROP DEFAULT": ["things.kind has no default any more"],
    "ALTER TABLE api.things ADD COLUMN colour TEXT NOT NULL": ["things.colour must be given"],
    "ALTER TABLE api.things ADD CHECK (id > 0)": ["a new rule for things: CHECK ((id > 0))"],
    "CREATE UNIQUE INDEX ON api.things (name)": [
        "a new rule for things: CREATE UNIQUE INDEX ON things USING btree (name)"
    ],
    "ALTER TABLE api.things ENABLE ROW LEVEL SECURITY": ["a new rule for things: row-level security"],
    "REVOKE INSERT (id) ON api.things FROM api_web": ["no more: api_web may INSERT things.id"],
}


@pytest.fixture
async def owner(module_database: Database) -> "AsyncGenerator[asyncpg.Connection[asyncpg.Record]]":
    """The role that migrates, in a transaction that is undone."""
    connection = await asyncpg.connect(module_database.url("api"))
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(OLD)
    yield connection
    await transaction.rollback()
    await connection.close()


async def test_what_only_adds_breaks_nothing(owner: "asyncpg.Connection[asyncpg.Record]") -> None:
    old = await catalogue_of(owner, schema="api")
    await owner.execute(HARMLESS)
    assert broken_promises(old, await catalogue_of(owner, schema="api")) == []


@pytest.mark.parametrize(("change", "broken"), HARMFUL.items())
async def test_what_older_code_would_stumble_over_is_named(
    owner: "asyncpg.Connection[asyncpg.Record]", change: str, broken: list[str]
) -> None:
    """INVARIANT: expand, then contract: nothing that the release before uses is taken away or made stricter."""
    old = await catalogue_of(owner, schema="api")
    await owner.execute(change)
    assert broken_promises(old, await catalogue_of(owner, schema="api")) == broken

"""The walls inside the one PostgreSQL: roles, schemas, and what a role may not see."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg
import pytest
from tests.engines.databases import Database
from tests.engines.wheels import RunningPostgres

from clawdeploy_cli.engines.database import SERVICES, prepare_database, role_names, with_database, with_role

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

TENANT_TABLE = """
CREATE TABLE things (account_id uuid NOT NULL, name text NOT NULL);
ALTER TABLE things ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON things USING (account_id = nullif(current_setting('clawdeploy.account', true), '')::uuid);
GRANT SELECT ON things TO api_web;
INSERT INTO things VALUES (uuidv7(), 'theirs'), ('018f0000-0000-7000-8000-000000000001', 'mine');
"""


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[Connection, None]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def new_passwords() -> dict[str, str]:
    return {role: secrets.token_urlsafe(16) for role in role_names()}


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_works_in_the_schema_of_its_name(database: Database, service: str) -> None:
    async with connected(database.url(service)) as owner:
        await owner.execute("CREATE TABLE things (id int); INSERT INTO things VALUES (1)")
        assert await owner.fetchval("SELECT schemaname FROM pg_tables WHERE tablename = 'things'") == service
    async with connected(database.web_url(service)) as web:
        assert await web.fetchval("SELECT current_schema()") == service


async def test_a_service_cannot_read_the_schema_of_another(database: Database) -> None:
    """INVARIANT: a service never reads another's schema."""
    async with connected(database.url("billing")) as billing:
        await billing.execute("CREATE TABLE ledger (amount_micros bigint)")
    for url in (database.url("api"), database.web_url("api"), database.web_url("provisioner")):
        async with connected(url) as stranger:
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="schema billing"):
                await stranger.fetch("SELECT * FROM billing.ledger")


async def test_the_web_role_gets_only_what_a_migration_grants(database: Database) -> None:
    async with connected(database.url("api")) as owner, connected(database.web_url("api")) as web:
        await owner.execute("CREATE TABLE secrets (id int); CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1")
        for statement in ("SELECT * FROM secrets", "SELECT f()", "CREATE TABLE mine (id int)"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await web.execute(statement)
        await owner.execute("GRANT SELECT ON secrets TO api_web")
        assert await web.fetch("SELECT * FROM secrets") == []


@pytest.mark.parametrize("role", ["api", "api_web"])
async def test_nobody_has_rights_in_public(database: Database, role: str) -> None:
    url = database.url("api") if role == "api" else database.web_url("api")
    async with connected(url) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="schema public"):
            await connection.execute("CREATE TABLE public.things (id int)")


async def test_row_level_security_holds_for_the_web_role(database: Database) -> None:
    """INVARIANT: a tenant is a wall; the role that serves requests cannot step around it."""
    async with connected(database.url("api")) as owner:
        await owner.execute(TENANT_TABLE)
    async with connected(database.web_url("api")) as web:
        assert await web.fetch("SELECT name FROM things") == []
        async with web.transaction():
            await web.execute("SELECT set_config('clawdeploy.account', '018f0000-0000-7000-8000-000000000001', true)")
            assert [row["name"] for row in await web.fetch("SELECT name FROM things")] == ["mine"]
        await web.execute("SET row_security = off")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await web.fetch("SELECT name FROM things")
        for statement in (
            "SET ROLE api",
            "ALTER ROLE api_web BYPASSRLS",
            "ALTER TABLE things DISABLE ROW LEVEL SECURITY",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await web.execute(statement)


async def test_no_role_has_powers(database: Database) -> None:
    async with connected(database.admin_url) as admin:
        rows = await admin.fetch(
            "SELECT rolname FROM pg_roles WHERE rolname = ANY($1) AND NOT (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb)",
            role_names(),
        )
    assert {row["rolname"] for row in rows} == set(role_names())


async def test_a_wrong_or_missing_password_is_refused(database: Database) -> None:
    for password in ("wrong", ""):
        url = with_role(database.admin_url, role="api", password=password, database=database.name)
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(url)


async def test_preparing_again_keeps_the_data_and_takes_new_passwords(own_postgres: RunningPostgres) -> None:
    first, second = new_passwords(), new_passwords()
    before = await prepare_database(own_postgres.admin_url, database="platform", passwords=first)
    async with connected(before["api"].url) as owner:
        await owner.execute("CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)")
    async with connected(own_postgres.admin_url) as admin:
        await admin.execute("ALTER ROLE api_web BYPASSRLS CREATEDB")
    after = await prepare_database(own_postgres.admin_url, database="platform", passwords=second)
    async with connected(after["api"].url) as owner:
        assert await owner.fetchval("SELECT id FROM kept") == 7
        powers = "SELECT rolbypassrls OR rolcreatedb FROM pg_roles WHERE rolname = 'api_web'"
        assert await owner.fetchval(powers) is False
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(before["api"].url)


async def test_the_database_of_the_address_itself_may_be_missing(own_postgres: RunningPostgres) -> None:
    named = with_database(own_postgres.admin_url, database="newborn")
    made = await prepare_database(named, database="newborn", passwords=new_passwords())
    async with connected(made["api"].url) as owner:
        assert await owner.fetchval("SELECT current_database()") == "newborn"


async def test_an_administrator_of_an_external_server_needs_no_superuser(own_postgres: RunningPostgres) -> None:
    async with connected(own_postgres.admin_url) as admin:
        await admin.execute("CREATE ROLE landlord LOGIN CREATEROLE CREATEDB PASSWORD 'throwaway'")
    url = with_role(own_postgres.admin_url, role="landlord", password="throwaway", database="postgres")
    await prepare_database(url, database="platform", passwords=new_passwords())
    addresses = await prepare_database(url, database="platform", passwords=new_passwords())
    async with connected(addresses["monitor"].url) as monitor:
        await monitor.execute("CREATE TABLE probes (id int)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await monitor.execute("CREATE TABLE api.intruder (id int)")


async def test_passwords_reach_neither_the_server_nor_its_log(own_postgres: RunningPostgres) -> None:
    passwords = new_passwords()
    async with connected(own_postgres.admin_url) as admin:
        await admin.execute("ALTER SYSTEM SET log_statement = 'all'")
        await admin.execute("SELECT pg_reload_conf()")
    await prepare_database(own_postgres.admin_url, database="platform", passwords=passwords)
    log = own_postgres.process.log.read_text()
    assert "CREATE ROLE" in log
    assert not [role for role, password in passwords.items() if password in log]


async def test_committed_rows_survive_kill_9(own_postgres: RunningPostgres) -> None:
    async with connected(own_postgres.admin_url) as admin:
        await admin.execute("CREATE TABLE kept AS SELECT 7 AS id")
    own_postgres.kill()
    await own_postgres.start()
    async with connected(with_database(own_postgres.admin_url, database="postgres")) as admin:
        assert await admin.fetchval("SELECT id FROM kept") == 7

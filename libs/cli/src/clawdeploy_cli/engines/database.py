"""One database for the platform: for every service two roles and a schema, and walls between them.

Works on the embedded server and on any PostgreSQL (16 or newer) whose administrator's address is given; that one needs
CREATEROLE, and CREATEDB unless the database exists. Roles belong to the whole server and are named like the services,
so one server holds one platform.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from clawdeploy_cli.engines.scram import scram_verifier

SERVICES = ("api", "provisioner", "monitor", "billing")
PREPARING = 0x636C_6177
"""Key of the advisory lock under which one starter at a time prepares ("claw")."""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@dataclass(frozen=True, kw_only=True)
class ServiceDatabase:
    """The two addresses of a service. They hold passwords."""

    url: str
    """Role `<svc>`: owns the schema, migrates and consumes."""
    web_url: str
    """Role `<svc>_web`: serves requests; row-level security applies to it."""


def role_names(services: Sequence[str] = SERVICES) -> list[str]:
    """Name every role that needs a password."""
    return [role for service in services for role in (service, web_role(service))]


def web_role(service: str) -> str:
    """Name the role that serves requests."""
    return f"{service}_web"


def with_role(admin_url: str, *, role: str, password: str, database: str) -> str:
    """Give the address of `database` on the administrator's server for another role; options such as sslmode stay."""
    parts = urlsplit(admin_url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{quote(password, safe='')}@{address}", path=f"/{database}"))


def with_database(admin_url: str, *, database: str) -> str:
    """Give the administrator's address of another database on the same server."""
    return urlunsplit(urlsplit(admin_url)._replace(path=f"/{database}"))


async def prepare_database(
    admin_url: str, *, database: str, passwords: Mapping[str, str], services: Sequence[str] = SERVICES
) -> dict[str, ServiceDatabase]:
    """Make the database, roles and schemas of the services, or mend them. Safe to repeat; keeps all data.

    Args:
        admin_url: a `postgresql://` address whose role may create roles (and the database, if it is missing).
        database: its name.
        passwords: one per role of `role_names(services)`, ASCII. The server only ever sees their verifiers.
        services: names of the services; each owns the schema of its name.

    Returns: the addresses of each service.
    """
    async with _entered(admin_url) as admin:
        await admin.execute("SELECT pg_advisory_lock($1)", PREPARING)  # ends with the connection
        for role in role_names(services):
            await _ensure_role(admin, role, passwords[role])
        await _ensure_database(admin, database)
        await wall_database(admin, database=database, services=services)
        async with _connected(with_database(admin_url, database=database)) as connection, connection.transaction():
            await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
            for service in services:
                await _ensure_schema(connection, service)
    return {service: _addresses(admin_url, service, database, passwords) for service in services}


async def wall_database(admin: Connection, *, database: str, services: Sequence[str] = SERVICES) -> None:
    """Let only the services' roles connect to `database`. Copies made from a template need it again."""
    await admin.execute(f"REVOKE ALL ON DATABASE {_name(database)} FROM PUBLIC")
    roles = ", ".join(_name(role) for role in role_names(services))
    await admin.execute(f"GRANT CONNECT ON DATABASE {_name(database)} TO {roles}")


async def _ensure_role(admin: Connection, role: str, password: str) -> None:
    verifier = scram_verifier(password)
    found = await admin.fetchrow("SELECT * FROM pg_roles WHERE rolname = $1", role)
    if found is None:
        limits = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
        await admin.execute(f"CREATE ROLE {_name(role)} LOGIN {limits} PASSWORD '{verifier}'")
    else:
        await admin.execute(f"ALTER ROLE {_name(role)} LOGIN PASSWORD '{verifier}'")
        await _take_powers_away(admin, found)
    await admin.execute(f"ALTER ROLE {_name(role)} SET search_path = {_name(role.removesuffix('_web'))}")
    if not await admin.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        await admin.execute(f"GRANT {_name(role)} TO CURRENT_USER")  # to act for it below


async def _take_powers_away(admin: Connection, role: asyncpg.Record) -> None:
    """Take what lets a role past the walls. Only what it has: naming a power already asks for the right to give it."""
    powers = ("super", "createdb", "createrole", "replication", "bypassrls")
    excess = [f"NO{power}{'user' if power == 'super' else ''}" for power in powers if role[f"rol{power}"]]
    if excess:
        await admin.execute(f"ALTER ROLE {_name(role['rolname'])} {' '.join(excess)}")


async def _ensure_database(admin: Connection, database: str) -> None:
    if not await admin.fetchval("SELECT true FROM pg_database WHERE datname = $1", database):
        await admin.execute(f"CREATE DATABASE {_name(database)} ENCODING 'UTF8' TEMPLATE template0")


async def _ensure_schema(connection: Connection, service: str) -> None:
    """Make the schema of a service; migrations grant its web role each table, nothing is granted by default."""
    owner, web = _name(service), _name(web_role(service))
    await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {owner} AUTHORIZATION {owner}")
    await connection.execute(f"ALTER SCHEMA {owner} OWNER TO {owner}")
    await connection.execute(f"REVOKE ALL ON SCHEMA {owner} FROM PUBLIC, {web}")
    await connection.execute(f"GRANT USAGE ON SCHEMA {owner} TO {web}")
    for kind in ("TABLES", "SEQUENCES", "FUNCTIONS", "TYPES"):
        defaults = f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner}"
        await connection.execute(f"{defaults} REVOKE ALL ON {kind} FROM PUBLIC")
        await connection.execute(f"{defaults} IN SCHEMA {owner} REVOKE ALL ON {kind} FROM PUBLIC, {web}")


def _addresses(admin_url: str, service: str, database: str, passwords: Mapping[str, str]) -> ServiceDatabase:
    urls = [
        with_role(admin_url, role=role, password=passwords[role], database=database)
        for role in (service, web_role(service))
    ]
    return ServiceDatabase(url=urls[0], web_url=urls[1])


def _name(identifier: str) -> str:
    """Quote an identifier."""
    return '"' + identifier.replace('"', '""') + '"'


@asynccontextmanager
async def _entered(admin_url: str) -> AsyncGenerator[Connection, None]:
    """The server through the address given, or through its maintenance database while the one it names does not exist."""
    try:
        connection = await asyncpg.connect(admin_url, timeout=30)
    except asyncpg.InvalidCatalogNameError:
        connection = await asyncpg.connect(with_database(admin_url, database="postgres"), timeout=30)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _connected(url: str) -> AsyncGenerator[Connection, None]:
    connection = await asyncpg.connect(url, timeout=30)
    try:
        yield connection
    finally:
        await connection.close()

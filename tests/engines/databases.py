"""Fresh databases on the run's PostgreSQL: each a copy of a template that has the services' roles and schemas."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

import asyncpg

from clawdeploy_cli.engines.database import wall_database, web_role, with_database, with_role


@dataclass(frozen=True, kw_only=True)
class Database:
    """One database and the addresses into it."""

    name: str
    admin_url: str = field(repr=False)
    passwords: Mapping[str, str] = field(repr=False)

    def url(self, service: str) -> str:
        """Give the address of the role that owns the service's schema."""
        return with_role(self.admin_url, role=service, password=self.passwords[service], database=self.name)

    def web_url(self, service: str) -> str:
        """Give the address of the role that serves requests."""
        role = web_role(service)
        return with_role(self.admin_url, role=role, password=self.passwords[role], database=self.name)


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """The run's server."""

    admin_url: str = field(repr=False)
    passwords: Mapping[str, str] = field(repr=False)
    template: str

    async def create(self, *, template: str | None = None) -> Database:
        """Copy a database: the prepared, empty one, or `template`, to which nobody may be connected."""
        name = f"test_{secrets.token_hex(6)}"
        admin = await asyncpg.connect(self.admin_url)
        try:
            await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template or self.template}"')
            await wall_database(admin, database=name)
        finally:
            await admin.close()
        return Database(name=name, admin_url=with_database(self.admin_url, database=name), passwords=self.passwords)

    async def drop(self, database: Database) -> None:
        """Delete a database, whoever is connected."""
        admin = await asyncpg.connect(self.admin_url)
        try:
            await admin.execute(f'DROP DATABASE IF EXISTS "{database.name}" WITH (FORCE)')
        finally:
            await admin.close()

"""Preparing a database for services that somebody else starts: containers, a cluster."""

import asyncio
import os
from urllib.parse import urlsplit

import asyncpg

from clawdeploy_cli.engines.database import prepare_database, role_names
from clawdeploy_cli.errors import Failed, UsageProblem
from clawdeploy_cli.render.console import print_json, say
from clawdeploy_cli.settings import load_settings


def prepare(*, as_json: bool) -> None:
    """Make the roles and schemas, or mend them; all data stay.

    Raises:
        UsageProblem: DATABASE_URL or a role's password is not given.
        Failed: the server cannot be reached, or refuses.
    """
    url = load_settings().database_url
    if url is None:
        raise UsageProblem("DATABASE_URL is not set: the address of the database, for a role that may create roles")
    database = urlsplit(url.get_secret_value()).path.strip("/") or "clawdeploy"
    passwords = {role: _password(role) for role in role_names()}
    try:
        made = asyncio.run(prepare_database(url.get_secret_value(), database=database, passwords=passwords))
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise Failed(f"the database cannot be prepared: {error or type(error).__name__}") from None
    if as_json:
        print_json({"database": database, "services": sorted(made)})
    else:
        say(f"Database {database} is ready for {', '.join(sorted(made))}.")


def _password(role: str) -> str:
    name = f"{role.upper()}_DB_PASSWORD"
    if not (value := os.environ.get(name)):
        raise UsageProblem(f"{name} is not set")
    return value

"""A gateway on a migrated database of the test's own."""

from collections.abc import AsyncGenerator

import pytest
from tests.engines.databases import Database, Postgres
from tests.integration.api.platform import Platform, Tenant, settings_for

import clawdeploy_api
from clawdeploy_api.models import metadata
from clawdeploy_common.migrating import migrate


@pytest.fixture(scope="session")
async def migrated_api(postgres: Postgres) -> AsyncGenerator[Database]:
    """A template with the gateway's schema."""
    database = await postgres.create()
    await migrate(database.url("api"), schema="api", package_file=clawdeploy_api.__file__, metadata=metadata)
    yield database
    await postgres.drop(database)


@pytest.fixture
async def database(postgres: Postgres, migrated_api: Database) -> AsyncGenerator[Database]:
    """A migrated database of this test's own."""
    database = await postgres.create(template=migrated_api.name)
    yield database
    await postgres.drop(database)


@pytest.fixture
async def platform(database: Database) -> AsyncGenerator[Platform]:
    """The gateway, with the bootstrap account."""
    platform = Platform(settings_for(database, clouds="hetzner,digitalocean", emulated_clouds="digitalocean"))
    await platform.start()
    yield platform
    await platform.stop()


@pytest.fixture
async def tenant(platform: Platform) -> Tenant:
    """An account with room for four instances."""
    return await platform.tenant()

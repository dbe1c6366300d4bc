"""The monitor on a migrated database of each test's own, without a broker, and agents to probe on loopback ports."""

from collections.abc import AsyncGenerator

import pytest
from tests.engines.databases import Database, Postgres
from tests.integration.monitor.agent import Agent
from tests.integration.monitor.monitoring import Monitoring

import clawdeploy_monitor
from clawdeploy_common.migrating import migrate
from clawdeploy_monitor.models import metadata


@pytest.fixture(scope="session")
async def monitor_template(postgres: Postgres) -> AsyncGenerator[Database]:
    """A template with the monitor's schema."""
    database = await postgres.create()
    await migrate(
        database.url("monitor"), schema="monitor", package_file=clawdeploy_monitor.__file__, metadata=metadata
    )
    yield database
    await postgres.drop(database)


@pytest.fixture
async def database(postgres: Postgres, monitor_template: Database) -> AsyncGenerator[Database]:
    """A migrated database of this test's own."""
    database = await postgres.create(template=monitor_template.name)
    yield database
    await postgres.drop(database)


@pytest.fixture
async def monitoring(database: Database) -> AsyncGenerator[Monitoring]:
    """A monitor whose loops a test turns by hand."""
    monitoring = Monitoring(database)
    yield monitoring
    await monitoring.close()


@pytest.fixture
async def agent() -> AsyncGenerator[Agent]:
    """An agent that lives."""
    agent = Agent()
    await agent.start()
    yield agent
    await agent.stop()

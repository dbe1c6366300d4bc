"""A database with the throw-away services' schemas, topics of a test's own, and two machines on them."""

import secrets
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest
from tests.engines.databases import Database, Postgres
from tests.engines.ports import free_ports
from tests.integration.machinery import throwaway
from tests.integration.machinery.machine import Machine, settings_for
from tests.integration.machinery.throwaway.models import metadata

from clawdeploy_common import events
from clawdeploy_common.migrating import migrate

SERVICES = ("api", "provisioner")


@pytest.fixture(autouse=True)
def own_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    """The brokers of a run are shared: each test has topics of its own."""
    for producer in SERVICES:
        monkeypatch.setitem(events.TOPICS, producer, f"{producer}-{secrets.token_hex(6)}")


@pytest.fixture(scope="session")
async def migrated(postgres: Postgres) -> AsyncGenerator[Database]:
    """A template with the machinery's tables in two schemas."""
    database = await postgres.create()
    for service in SERVICES:
        await migrate(database.url(service), schema=service, package_file=throwaway.__file__, metadata=metadata)
    yield database
    await postgres.drop(database)


@pytest.fixture
async def database(postgres: Postgres, migrated: Database) -> AsyncGenerator[Database]:
    """A migrated database of this test's own."""
    database = await postgres.create(template=migrated.name)
    yield replace(database)
    await postgres.drop(database)


@pytest.fixture
def unused_port() -> int:
    """A port on which nobody listens."""
    return free_ports(1)[0]


@pytest.fixture
async def producer(database: Database, kafka: str) -> AsyncGenerator[Machine]:
    """The service `api`, which emits."""
    machine = Machine("api", settings_for("api", database, kafka))
    yield machine
    await machine.database.close()


@pytest.fixture
async def consumer(database: Database, kafka: str) -> AsyncGenerator[Machine]:
    """The service `provisioner`, which applies what `api` emits."""
    machine = Machine("provisioner", settings_for("provisioner", database, kafka), consumes=["api"])
    yield machine
    await machine.database.close()

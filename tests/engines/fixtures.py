"""Fixtures of the engines.

Shared by the whole run, whichever worker a test is on: `postgres` (and from it `database`, fresh for each test,
`module_database`, fresh for each module), `kafka` and `embedded_broker`: their bootstrap address. A test's own, to kill
and restart: `own_kafka`, `own_postgres`, `own_embedded_broker`.
"""

import os
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from tests.engines.apache_kafka import ApacheKafka
from tests.engines.databases import Database, Postgres
from tests.engines.requirements import MissingOnThisMachine, lacking
from tests.engines.shared import FOLDER_VARIABLE, shared_engine
from tests.engines.wheels import RunningBroker, RunningPostgres


@pytest.fixture(scope="session")
def postgres() -> Postgres:
    """The run's PostgreSQL."""
    return Postgres(**shared_engine("postgres"))


@pytest.fixture
async def database(postgres: Postgres) -> AsyncGenerator[Database, None]:
    """A database of this test's own, with the roles and empty schemas of all services."""
    database = await postgres.create()
    yield database
    await postgres.drop(database)


@pytest.fixture(scope="module")
async def module_database(postgres: Postgres) -> AsyncGenerator[Database, None]:
    """A database that the tests of a module share."""
    database = await postgres.create()
    yield database
    await postgres.drop(database)


@pytest.fixture(scope="session")
def kafka() -> str:
    """Give the bootstrap address of the run's Apache Kafka. Topics are shared: name yours uniquely."""
    return shared_engine("kafka")["bootstrap_servers"]


@pytest.fixture(scope="session")
def embedded_broker() -> str:
    """Give the bootstrap address of the run's embedded broker. Topics are shared: name yours uniquely."""
    return shared_engine("broker")["bootstrap_servers"]


@pytest.fixture(scope="session")
def docker_url() -> str:
    """Give the address of the run's Docker engine, which has the light images. Things on it are shared: label yours."""
    return shared_engine("light-images")["url"]


@pytest.fixture(scope="session")
def docker_with_openclaw() -> str:
    """Give the address of the run's Docker engine, which has OpenClaw's image (made in about two minutes, kept for later runs)."""
    return shared_engine("openclaw-image")["url"]


@pytest.fixture(scope="session")
def docker_with_machines() -> str:
    """Give the address of the run's Docker engine, which has the image of emulated servers (made in a minute, kept)."""
    return shared_engine("machine-image")["url"]


@pytest.fixture
def engine_folder() -> Generator[Path, None, None]:
    """A folder that every account can enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(dir=os.environ[FOLDER_VARIABLE], prefix="own-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture
async def own_kafka(engine_folder: Path) -> AsyncGenerator[ApacheKafka, None]:
    """An Apache Kafka that the test may kill, restart and wipe."""
    try:
        kafka = ApacheKafka(engine_folder / "kafka")
    except MissingOnThisMachine as error:
        lacking(str(error))
    await kafka.start()
    yield kafka
    kafka.kill()


@pytest.fixture
async def own_postgres(engine_folder: Path) -> AsyncGenerator[RunningPostgres, None]:
    """A PostgreSQL that the test may kill and restart; nothing is prepared in it."""
    postgres = RunningPostgres(engine_folder / "postgres")
    await postgres.start()
    yield postgres
    postgres.remove()


@pytest.fixture
async def own_embedded_broker(engine_folder: Path) -> AsyncGenerator[RunningBroker, None]:
    """An embedded broker that the test may kill and restart."""
    broker = RunningBroker(engine_folder / "broker")
    await broker.start()
    yield broker
    broker.kill()

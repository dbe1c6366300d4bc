"""INVARIANT: kill -9 of any service, of Kafka or of PostgreSQL in the middle of a deploy loses nothing and does nothing twice (law 6)."""

import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.chaos.whole_books import is_sound, one_of_everything
from tests.chaos.whole_platform import WholePlatform, whole_platform
from tests.e2e.local import open_folder
from tests.engines.apache_kafka import ApacheKafka
from tests.engines.requirements import MissingOnThisMachine, lacking
from tests.engines.wheels import RunningPostgres


class Engines:
    """A PostgreSQL and an Apache Kafka of this module's own."""

    def __init__(self, folder: Path) -> None:
        self.kafka = ApacheKafka(folder / "kafka")
        self.postgres = RunningPostgres(folder / "postgres")


@pytest.fixture(scope="module")
async def engines() -> AsyncGenerator[Engines]:
    folder = open_folder()
    try:
        engines = Engines(folder)
    except MissingOnThisMachine as error:
        lacking(str(error))
    try:
        await engines.postgres.start()
        await engines.kafka.start()
        yield engines
    finally:
        engines.kafka.kill()
        engines.postgres.remove()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
async def platform(engines: Engines) -> AsyncGenerator[WholePlatform]:
    folder = open_folder()
    kafka = {
        "CLAWDEPLOY_KAFKA_BOOTSTRAP_SERVERS": engines.kafka.bootstrap_servers,
        "CLAWDEPLOY_KAFKA_FETCH_MAX_WAIT_MS": "100",
        "CLAWDEPLOY_KAFKA_SESSION_TIMEOUT_MS": "6000",
        "CLAWDEPLOY_KAFKA_PARTITIONS": "4",
    }
    async with whole_platform(folder, postgres=engines.postgres, kafka=kafka) as platform:
        yield platform
    shutil.rmtree(folder)


MOMENTS = [
    ("api", "create_server"),
    ("provisioner", "create_server"),
    ("billing", "create_server"),
    ("monitor", "start"),
    ("provisioner", "write_configuration"),
]


async def test_deploys_complete_when_each_service_dies_in_one(platform: WholePlatform) -> None:
    deployed: list[str] = []
    for service, step in MOMENTS:
        asked = await platform.deploy(f"{service} {step}".replace("_", " "))
        await platform.doing(asked["id"], step)
        platform.kill(service)
        platform.start(service)
        deployed.append(asked["id"])
    await is_sound(platform, *deployed)


async def test_a_deploy_that_was_accepted_completes_when_the_gateway_dies_at_once(platform: WholePlatform) -> None:
    asked = await platform.deploy("accepted")
    platform.kill("api")
    platform.start("api")
    await platform.reaches(asked["id"], "running")
    await one_of_everything(platform, asked["id"])


async def test_a_deploy_completes_when_kafka_dies_in_it(platform: WholePlatform, engines: Engines) -> None:
    asked = await platform.deploy("kafka")
    await platform.doing(asked["id"], "create_server")
    engines.kafka.kill()
    await engines.kafka.start()
    await is_sound(platform, asked["id"])


async def test_a_deploy_completes_when_postgres_dies_in_it(platform: WholePlatform, engines: Engines) -> None:
    asked = await platform.deploy("postgres")
    await platform.doing(asked["id"], "install")
    engines.postgres.kill()
    await engines.postgres.start()
    await is_sound(platform, asked["id"])

"""An update in the middle: the release before runs on the schema that today's code has made (expand, then contract)."""

import shutil
from collections.abc import AsyncGenerator

import asyncpg
import pytest

from clawdeploy_cli.engines.broker import CLIENT_SETTINGS
from tests.chaos.frozen_release import unpack
from tests.chaos.whole_books import no_dead_letters, one_of_everything, quiet
from tests.chaos.whole_platform import SERVICES, WholePlatform, eventually, second, whole_platform
from tests.contracts.schema_catalogue import Catalogue, broken_promises, catalogue_of
from tests.e2e.local import open_folder
from tests.engines.wheels import RunningBroker, RunningPostgres


@pytest.fixture
async def older() -> AsyncGenerator[WholePlatform]:
    """A platform whose first replicas are of the release before; second ones are today's."""
    folder = open_folder()
    broker, postgres = RunningBroker(folder / "broker"), RunningPostgres(folder / "postgres")
    settings = CLIENT_SETTINGS | {"CLAWDEPLOY_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers}
    first = unpack(folder / "release")
    try:
        await postgres.start()
        await broker.start()
        async with whole_platform(
            folder / "services", postgres=postgres, kafka=settings, python_path=first
        ) as platform:
            yield platform
    finally:
        broker.kill()
        postgres.remove()
        shutil.rmtree(folder)


async def schemas(platform: WholePlatform) -> dict[str, Catalogue]:
    connection = await asyncpg.connect(platform.admin_url)
    try:
        return {name: await catalogue_of(connection, schema=name) for name in SERVICES}
    finally:
        await connection.close()


async def test_the_release_before_deploys_on_todays_schema(older: WholePlatform) -> None:
    """INVARIANT: migrations take nothing away from code that still runs; an update needs no pause and no order."""
    first = await older.deploy("before the update")
    await older.reaches(first["id"], "running")
    before = await schemas(older)

    for service in SERVICES:
        older.start(second(service))
    for service in SERVICES:
        await eventually(lambda name=second(service): older.is_ready(name), seconds=90)
    after = await schemas(older)
    assert {name: broken_promises(before[name], after[name]) for name in SERVICES} == {name: [] for name in SERVICES}
    assert after != before, "today's schema is the frozen release's: freeze an older one, or this proves nothing"
    between = await older.deploy("both releases")
    await older.reaches(between["id"], "running")

    for service in SERVICES:
        older.stop(second(service))
    last = await older.deploy("on the new schema")
    await older.reaches(last["id"], "running")
    await older.ask("DELETE", f"/v1/instances/{first['id']}")
    await quiet(older)
    for deployed in (between, last):
        await one_of_everything(older, deployed["id"])
    await no_dead_letters(older)

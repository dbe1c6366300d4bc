"""The engines of a run, the same for both sides: PostgreSQL (without fsync, so that no disk hides our part), Kafka, the embedded broker."""

import os
import tempfile
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from sqlalchemy import MetaData

from clawdeploy_common.migrating import migrate
from tests.engines.databases import Database, Postgres
from tests.engines.process import EngineProcess
from tests.engines.shared import FOLDER_VARIABLE, SharedEngines, ask


class Engines:
    """Starts each engine when it is first asked for; raises MissingOnThisMachine."""

    @property
    def postgres(self) -> Postgres:
        """PostgreSQL."""
        return Postgres(**ask("postgres"))

    @property
    def kafka(self) -> str:
        """Apache Kafka's address."""
        return ask("kafka")["bootstrap_servers"]

    @property
    def embedded_broker(self) -> str:
        """The embedded broker's address."""
        return ask("broker")["bootstrap_servers"]

    @asynccontextmanager
    async def database(self) -> AsyncGenerator[Database]:
        """A fresh database with the services' roles and empty schemas."""
        database = await self.postgres.create()
        try:
            yield database
        finally:
            await self.postgres.drop(database)


@contextmanager
def engines() -> Generator[Engines]:
    """The engines of this run; all end with it."""
    shared = SharedEngines()
    try:
        yield Engines()
    finally:
        shared.close()


@contextmanager
def folder() -> Generator[Path]:
    """A folder of the run that every account can enter."""
    with tempfile.TemporaryDirectory(dir=os.environ[FOLDER_VARIABLE], prefix="bench-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@contextmanager
def program(command: list[str], *, environment: Mapping[str, str], log: Path) -> Generator[EngineProcess]:
    """A program while the block runs."""
    process = EngineProcess(log=log)
    process.start(command, environment=environment)
    try:
        yield process
    finally:
        process.kill()


async def migrated(database: Database, service: str, *, package_file: str, metadata: MetaData) -> None:
    """Bring one service's schema up to date."""
    await migrate(database.url(service), schema=service, package_file=package_file, metadata=metadata)

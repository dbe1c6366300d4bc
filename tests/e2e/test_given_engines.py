"""The local platform on engines it was given: Apache Kafka, a PostgreSQL server and an OpenRouter that are not its own."""

import json
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from clawdeploy_cli.engines.leash import leashed
from tests.e2e.local import Local, open_folder, until
from tests.engines.apache_kafka import ApacheKafka
from tests.engines.ports import free_ports
from tests.engines.process import EngineProcess
from tests.engines.requirements import MissingOnThisMachine, lacking
from tests.engines.wheels import RunningPostgres

MANAGEMENT_KEY = "sk-or-v1-management-" + "1" * 44


class Given:
    """Engines that somebody else runs, and the settings that name them."""

    def __init__(self, folder: Path) -> None:
        try:
            self.kafka, self.postgres = ApacheKafka(folder / "kafka"), RunningPostgres(folder / "postgres")
        except MissingOnThisMachine as error:
            lacking(str(error))
        [self._port] = free_ports(1)
        self._openrouter = EngineProcess(log=folder / "openrouter.log")
        self._state = folder / "openrouter.sqlite"

    async def start(self) -> None:
        await self.kafka.start()
        await self.postgres.start()
        arguments = ["openrouter", "--port", str(self._port), "--state", str(self._state)]
        command = leashed([sys.executable, "-m", "clawdeploy_emulators", *arguments], signal_name="SIGKILL")
        kept = {name: os.environ[name] for name in ("PATH", "HOME")}
        self._openrouter.start(command, environment={**kept, "OPENROUTER_MANAGEMENT_KEY": MANAGEMENT_KEY})

    @property
    def settings(self) -> dict[str, str]:
        return {
            "CLAWDEPLOY_KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "DATABASE_URL": self.postgres.admin_url,
            "OPENROUTER_MANAGEMENT_KEY": MANAGEMENT_KEY,
            "OPENROUTER_BASE_URL": f"http://127.0.0.1:{self._port}/api/v1",
        }

    def end(self) -> None:
        self._openrouter.stop(signal.SIGTERM)
        self.kafka.kill()
        self.postgres.remove()


@pytest.fixture
async def given() -> AsyncGenerator[Given]:
    folder = open_folder()
    given = Given(folder)
    try:
        await given.start()
        yield given
    finally:
        given.end()
        shutil.rmtree(folder)


async def test_the_platform_runs_on_engines_it_was_given_and_leaves_them_running(given: Given) -> None:
    local = Local(open_folder() / "one", more=given.settings)
    try:
        came_up = local.claw("up")
        assert (came_up.returncode, "stand-in" in came_up.stderr) == (0, False), came_up.stderr
        services = local.services()
        assert {name for name, service in services.items() if service["pid"] is None} == {"postgres", "broker"}
        assert services["broker"]["address"] == given.settings["CLAWDEPLOY_KAFKA_BOOTSTRAP_SERVERS"]
        until(lambda: bool(json.loads(local.claw("api", "GET", "/v1/catalogue/plans").stdout)["items"][0]["prices"]))
        stopped = local.claw("down")
        assert re.search(r"Stopped 5 processes", stopped.stdout + stopped.stderr)  # the services and their warm parent
        assert given.kafka.process.pid
        assert local.claw("up").returncode == 0, "the engines are still there"
    finally:
        assert local.claw("clean", "--yes").returncode == 0
        shutil.rmtree(local.folder.parent)

"""Apache Kafka 4.1.1, one KRaft node, on ports and data of its own."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from clawdeploy_cli.engines.broker import answers_metadata
from clawdeploy_cli.engines.leash import leashed
from clawdeploy_cli.engines.readiness import wait_until_ready
from tests.engines.kafka_jars import kafka_jars
from tests.engines.ports import free_ports
from tests.engines.process import EngineProcess

JVM = ["-Xms128m", "-Xmx384m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
READY_SECONDS = 90
"""After a kill -9 the broker answers again only when it has recovered its log: 10 to 15 s on two cores."""


class ApacheKafka:
    """One broker below `folder`. Its address stays the same over kills, restarts and wipes.

    Raises:
        MissingOnThisMachine: there is no Java, or Maven is needed and missing.
    """

    def __init__(self, folder: Path) -> None:
        self._jars = kafka_jars()
        self._port, self._controller_port = free_ports(2)
        self._data = folder / "data"
        self._properties = folder / "server.properties"
        self.process = EngineProcess(log=folder / "kafka.log")
        folder.mkdir(parents=True, exist_ok=True)
        self._properties.write_text("".join(f"{key}={value}\n" for key, value in self._settings().items()))

    @property
    def bootstrap_servers(self) -> str:
        """The address that clients are given."""
        return f"127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Start the broker on its data (fresh ones when there are none) and wait until it answers."""
        if not self._data.exists():
            self._format()
        command = leashed(self._java("kafka.Kafka", str(self._properties)), signal_name="SIGKILL")
        self.process.start(command, environment=_environment())
        await wait_until_ready("Apache Kafka", self._is_ready, seconds=READY_SECONDS)

    def kill(self) -> None:
        """End the broker as `kill -9` does. The data stay."""
        self.process.kill()

    def stop(self) -> None:
        """End the broker as an operator does."""
        self.process.stop(signal.SIGTERM, seconds=30)

    def wipe(self) -> None:
        """Kill the broker and lose its whole log."""
        self.kill()
        shutil.rmtree(self._data, ignore_errors=True)

    async def _is_ready(self) -> bool:
        _ = self.process.pid  # an error with the last lines when it has ended
        return await answers_metadata(self.bootstrap_servers)

    def _format(self) -> None:
        tool = "kafka.tools.StorageTool"
        identity = _run(self._java(tool, "random-uuid")).strip()
        _run(self._java(tool, "format", "-t", identity, "-c", str(self._properties), "--standalone"))

    def _java(self, main_class: str, *arguments: str) -> list[str]:
        return ["java", *JVM, "-cp", f"{self._jars}/*", main_class, *arguments]

    def _settings(self) -> dict[str, str | int]:
        controller = f"127.0.0.1:{self._controller_port}"
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.bootstrap.servers": controller,
            "listeners": f"PLAINTEXT://{self.bootstrap_servers},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap_servers}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": str(self._data),
            "auto.create.topics.enable": "false",  # the platform makes its topics
            "offsets.topic.num.partitions": 8,  # fewer files to recover after a kill
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "group.initial.rebalance.delay.ms": 0,
        }


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME", "LANG") if name in os.environ}


def _run(command: list[str]) -> str:
    result = subprocess.run(command, check=False, capture_output=True, text=True, env=_environment())
    if result.returncode != 0:
        raise RuntimeError(f"{command[-1]}: {result.stdout}{result.stderr}"[-2000:])
    return result.stdout

"""A platform of real processes: provisioners with the light provider, an emulated OpenRouter, PostgreSQL and Apache Kafka."""

import asyncio
import base64
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import uvicorn
from aiokafka import AIOKafkaConsumer, TopicPartition

from clawdeploy_cli.engines.database import prepare_database, role_names
from clawdeploy_common.events import Event
from clawdeploy_common.http import AsyncClient, HTTPError
from clawdeploy_common.ids import new_id
from clawdeploy_common.service import Service
from clawdeploy_common.settings import ServiceSettings
from clawdeploy_events.deployments import DeploymentPlan, DeploymentRequested
from tests.engines.apache_kafka import ApacheKafka
from tests.engines.ports import free_ports
from tests.engines.wheels import RunningPostgres
from tests.light.gateway.service import build
from tests.light.provider import LightProvider

CHECKOUT = Path(__file__).parents[2]
MANAGEMENT_KEY = "sk-or-v1-management-" + "0" * 44
LIFECYCLE = "clawdeploy.lifecycle"
PARTITIONS = 4
_COMPLAINT = re.compile(r"warning|error|critical|Traceback|replayed", re.IGNORECASE)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what the platform's processes complained of last."""
    report = yield
    platform: Any = item.funcargs.get("platform") if isinstance(item, pytest.Function) else None
    if report.failed and platform is not None:
        for log in sorted(platform.folder.glob("*.log")):
            lines = [line for line in log.read_text(errors="replace").splitlines() if _COMPLAINT.search(line)]
            report.sections.append((f"complaints in {log.name}", "\n".join(line[:1000] for line in lines[-25:])))
    return report


def plan(operation_id: UUID, **changes: Any) -> DeploymentPlan:
    """A plan for the light provider."""
    facts: dict[str, Any] = {"slug": "test", "provider": "light", "region": "local", "plan": "basic"}
    facts |= {"price_version": 1, "memory_mb": 2048, "cpu_millis": 2000, "model": "openai/gpt-5.2"}
    facts |= {"channel": "telegram", "config_version": 1, "llm_limit_micros": 5_000_000} | changes
    return DeploymentPlan(operation_id=operation_id, **facts)


class Program:
    """A Python program that is started again whenever it dies; ``deaths`` counts how often it did."""

    def __init__(self, module: str, *arguments: str, environment: dict[str, str], log: Path) -> None:
        self._command = [sys.executable, "-m", module, *arguments]
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.deaths = 0

    def start(self) -> None:
        """Run it, and watch over it."""
        self._spawn()
        self._keeper = asyncio.create_task(self._keep())

    def send(self, number: signal.Signals) -> None:
        """Signal the process that runs now."""
        if self._process is not None:
            self._process.send_signal(number)

    @property
    def is_stopped(self) -> bool:
        """Whether it stands still (SIGSTOP)."""
        if self._process is None or self._process.poll() is not None:
            return False
        stat = Path(f"/proc/{self._process.pid}/stat").read_text()
        return stat.rsplit(")", 1)[1].split()[0] == "T"

    async def end(self) -> None:
        """Kill it for good."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                await asyncio.to_thread(self._process.wait, 10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _spawn(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            if self._process is not None and self._process.poll() is not None:
                self.deaths += 1
                self._spawn()


class Platform:
    """Everything that runs, and the questions tests ask."""

    def __init__(
        self, folder: Path, *, kafka: ApacheKafka, postgres: RunningPostgres, urls: dict[str, Any], openrouter: str
    ) -> None:
        self.folder = folder
        self.kafka = kafka
        self.postgres = postgres
        self.provider = LightProvider(folder / "servers")
        self.openrouter = openrouter
        self._urls = urls
        self._secret = secrets.token_urlsafe(32)
        self._encryption_key = base64.b64encode(secrets.token_bytes(32)).decode()
        self._programs: list[Program] = []
        self.gateway: Service | None = None
        self.gateway_url = ""

    def shared_settings(self, service: str) -> dict[str, str]:
        """Settings of any service, as environment variables."""
        return {
            "CLAWDEPLOY_DATABASE_URL": self._urls[service].url,
            "CLAWDEPLOY_DATABASE_WEB_URL": self._urls[service].web_url,
            "CLAWDEPLOY_KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "CLAWDEPLOY_KAFKA_FETCH_MAX_WAIT_MS": "100",
            "CLAWDEPLOY_KAFKA_SESSION_TIMEOUT_MS": "6000",
            "CLAWDEPLOY_KAFKA_PARTITIONS": str(PARTITIONS),
            "CLAWDEPLOY_INTERNAL_SECRET": self._secret,
        }

    def provisioner(self, name: str, **environment: str) -> Program:
        """Start a provisioner with the light provider; ``environment`` says where it dies."""
        return self.program("tests.light.program", name, **environment)

    def program(self, module: str, name: str, **environment: str) -> Program:
        """Start a provisioner that ``module`` puts together."""
        settings = {
            **{key: value for key, value in os.environ.items() if not key.startswith("CLAWDEPLOY_")},
            **self.shared_settings("provisioner"),
            "CLAWDEPLOY_PORT": str(free_ports(1)[0]),
            "CLAWDEPLOY_API_URL": self.gateway_url,
            "CLAWDEPLOY_OPERATION_LEASE_SECONDS": "2",
            "CLAWDEPLOY_PROVIDER_CALL_SECONDS": "1",
            "CLAWDEPLOY_CHECK_SECONDS": "1",
            "CLAWDEPLOY_LLM_CALL_SECONDS": "1",
            "CLAWDEPLOY_INVENTORY_SECONDS": "1",
            "CLAWDEPLOY_KEY_SWEEP_SECONDS": "1",
            "CLAWDEPLOY_ORPHAN_AGE_SECONDS": "2",
            "ENCRYPTION_KEY": self._encryption_key,
            "OPENROUTER_MANAGEMENT_KEY": MANAGEMENT_KEY,
            "OPENROUTER_BASE_URL": f"{self.openrouter}/api/v1",
            "LIGHT_FOLDER": str(self.folder),
            **environment,
        }
        program = Program(module, environment=settings, log=self.folder / f"{name}.log")
        self._programs.append(program)
        program.start()
        return program

    async def send(self, event: Event, *, key: UUID, account_id: UUID) -> None:
        """Commit an event of the gateway; its relay does the rest."""
        assert self.gateway is not None
        async with self.gateway.database.transaction() as unit:
            unit.outbox.add(event, key=key, account_id=account_id)

    async def deploy(self, **changes: Any) -> tuple[UUID, UUID, UUID]:
        """Ask for a deployment: its instance, account and operation."""
        instance_id, account_id, operation_id = new_id(), new_id(), new_id()
        event = DeploymentRequested(deployment=plan(operation_id, **changes))
        await self.send(event, key=instance_id, account_id=account_id)
        return instance_id, account_id, operation_id

    async def ended(self, operation_id: UUID, *, seconds: float = 60) -> str:
        """Wait for an operation's end, however often the database goes away; returns its state."""
        query = "SELECT state FROM provisioner.operations WHERE id = $1 AND finished_at IS NOT NULL"
        async with asyncio.timeout(seconds):
            while True:
                rows = await self.rows_if_there(query, operation_id)
                if rows:
                    return str(rows[0]["state"])
                await asyncio.sleep(0.1)

    async def rows(self, query: str, *values: Any) -> Sequence[Any]:
        """Rows of the provisioner's schema."""
        connection = await asyncpg.connect(self._urls["provisioner"].url, timeout=5)
        try:
            return await connection.fetch(query, *values)
        finally:
            await connection.close()

    async def rows_if_there(self, query: str, *values: Any) -> Sequence[Any]:
        """The same, none while there is no database or no table."""
        try:
            return await self.rows(query, *values)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return []

    async def published(self, key: UUID) -> list[str]:
        """The types of an instance's events in the log, in order of version, after everything was published."""
        async with asyncio.timeout(60):
            while not await self.rows_if_there(
                "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM provisioner.outbox WHERE published_at IS NULL)"
            ):
                await asyncio.sleep(0.1)
        found: dict[int, set[tuple[str, bytes]]] = {}
        for headers, value in await self._log():
            if headers.get("ce_subject") == str(key):
                found.setdefault(int(headers["ce_sequence"]), set()).add((headers["ce_type"], value))
        assert sorted(found) == list(range(1, len(found) + 1)), "versions have gaps"
        assert all(len(same) == 1 for same in found.values()), "one version, two events"
        return [next(iter(found[version]))[0] for version in sorted(found)]

    async def _log(self) -> list[tuple[dict[str, str], bytes]]:
        consumer: Any = AIOKafkaConsumer(bootstrap_servers=self.kafka.bootstrap_servers, auto_offset_reset="earliest")
        await consumer.start()
        try:
            partitions = [TopicPartition(LIFECYCLE, number) for number in range(PARTITIONS)]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            ends = await consumer.end_offsets(partitions)
            records: list[tuple[dict[str, str], bytes]] = []
            for partition in partitions:
                while await consumer.position(partition) < ends[partition]:
                    batch: list[Any] = (await consumer.getmany(partition, timeout_ms=500)).get(partition, [])
                    records += [({name: value.decode() for name, value in r.headers}, r.value or b"") for r in batch]
            return records
        finally:
            await consumer.stop()

    async def keys(self, *, disabled: bool) -> int:
        """How many keys OpenRouter has."""
        async with AsyncClient() as http:
            response = await http.get(
                f"{self.openrouter}/api/v1/keys?include_disabled=true",
                headers={"Authorization": f"Bearer {MANAGEMENT_KEY}"},
            )
        return sum(key["disabled"] is disabled for key in response.json()["data"])

    async def eventually_keys(self, count: int, *, disabled: bool = False, seconds: float = 30) -> None:
        """Wait until there are this many keys."""
        async with asyncio.timeout(seconds):
            while await self.keys(disabled=disabled) != count:
                await asyncio.sleep(0.2)

    @property
    def died_at(self) -> set[str]:
        """The moments at which a provisioner died or stood still."""
        folder = self.folder / "deaths"
        return {path.name.replace("_keys", "/keys") for path in folder.iterdir()} if folder.exists() else set()

    async def end(self) -> None:
        """End every provisioner and every agent."""
        for program in self._programs:
            await program.end()
        self.provider.remove_all()


@pytest.fixture
async def platform(
    engine_folder: Path, own_kafka: ApacheKafka, own_postgres: RunningPostgres
) -> AsyncGenerator[Platform]:
    """Engines, OpenRouter and a gateway; each test starts its provisioners."""
    passwords = {role: secrets.token_urlsafe(16) for role in role_names()}
    urls = await prepare_database(own_postgres.admin_url, database="clawdeploy", passwords=passwords)
    folder = engine_folder / "light"
    folder.mkdir()
    async with openrouter(folder) as address:
        platform = Platform(folder, kafka=own_kafka, postgres=own_postgres, urls=urls, openrouter=address)
        async with gateway(platform):
            try:
                yield platform
            finally:
                await platform.end()


@asynccontextmanager
async def openrouter(folder: Path) -> AsyncGenerator[str]:
    """An emulated OpenRouter as a process; gives its address."""
    [port] = free_ports(1)
    arguments = ["openrouter", "--port", str(port), "--state", str(folder / "openrouter.sqlite")]
    environment = {**os.environ, "OPENROUTER_MANAGEMENT_KEY": MANAGEMENT_KEY}
    program = Program("clawdeploy_emulators", *arguments, environment=environment, log=folder / "openrouter.log")
    program.start()
    try:
        await _answers(f"http://127.0.0.1:{port}/healthz")
        yield f"http://127.0.0.1:{port}"
    finally:
        await program.end()


@asynccontextmanager
async def gateway(platform: Platform) -> AsyncGenerator[None]:
    """The tiny gateway, in this process, on a real port."""
    [port] = free_ports(1)
    names = {key.removeprefix("CLAWDEPLOY_").lower(): value for key, value in platform.shared_settings("api").items()}
    service, app = build(ServiceSettings.model_validate({**names, "port": port}))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, ws="none"))
    server.install_signal_handlers = lambda: None  # pyright: ignore[reportAttributeAccessIssue] - they are pytest's
    serving = asyncio.create_task(server._serve())  # pyright: ignore[reportPrivateUsage] - serve() would take the signals
    await _answers(f"http://127.0.0.1:{port}/healthz")
    while not service.migrated:
        await asyncio.sleep(0.05)
    platform.gateway, platform.gateway_url = service, f"http://127.0.0.1:{port}"
    try:
        yield
    finally:
        server.should_exit = True
        await serving


async def _answers(url: str, *, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds), AsyncClient() as http:
        while True:
            try:
                await http.get(url)
            except HTTPError:
                await asyncio.sleep(0.1)
            else:
                return

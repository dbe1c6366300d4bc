"""The whole platform as processes: the four real services and OpenRouter's stand-in, with a light provider, driven by the public API."""

import asyncio
import base64
import os
import secrets
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import asyncpg
import httpx

from clawdeploy_cli.engines.database import ServiceDatabase, prepare_database, role_names, with_database
from clawdeploy_cli.engines.leash import leashed
from tests.chaos.slow_provisioner import SlowProvider
from tests.engines.ports import free_ports
from tests.engines.process import EngineProcess
from tests.engines.wheels import RunningPostgres

CHECKOUT = Path(__file__).parents[2]
MANAGEMENT_KEY = "sk-or-v1-management-" + "0" * 44
SERVICES = ("api", "provisioner", "monitor", "billing")
MODULES = {name: f"clawdeploy_{name}" for name in SERVICES} | {"provisioner": "tests.chaos.slow_provisioner"}
SLOW_SECONDS = 0.4
Json = dict[str, Any]

TUNING = {
    "CLAWDEPLOY_OPERATION_LEASE_SECONDS": "2",
    "CLAWDEPLOY_PROVIDER_CALL_SECONDS": "1.5",
    "CLAWDEPLOY_CHECK_SECONDS": "1.5",
    "CLAWDEPLOY_LLM_CALL_SECONDS": "1",
    "CLAWDEPLOY_INVENTORY_SECONDS": "2",
    "CLAWDEPLOY_ORPHAN_AGE_SECONDS": "5",
    "CLAWDEPLOY_MONITOR_PROBE_SECONDS": "1",
    "CLAWDEPLOY_BILLING_USAGE_INTERVAL_SECONDS": "5",
    "CLAWDEPLOY_DEPLOYS_PER_MINUTE": "0",
    "CLAWDEPLOY_PROVIDERS": "process",
    "CLAWDEPLOY_MUTATIONS_PER_MINUTE": "0",
}
"""So that a test need not wait long: short leases and calls, frequent probes and readings, no rate limits."""


class WholePlatform:
    """Everything that runs but the engines. A killed process comes back only when the test starts it, with ``keys`` as they are then."""

    def __init__(
        self,
        folder: Path,
        *,
        kafka: Mapping[str, str],
        databases: Mapping[str, ServiceDatabase],
        admin_url: str,
        more: Mapping[str, str],
        python_path: str,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._more = more
        self._python_path = python_path
        self.folder = folder
        self.kafka = kafka
        self.admin_url = admin_url
        self.provider = SlowProvider(folder / "servers")
        self._databases = databases
        names = (*SERVICES, "openrouter", *map(second, SERVICES))
        self._ports: dict[str, int] = dict(zip(names, free_ports(len(names)), strict=True))
        self.keys = {
            "CLAWDEPLOY_INTERNAL_SECRET": secrets.token_urlsafe(32),
            "ENCRYPTION_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        }
        self._api_key = f"claw_{secrets.token_urlsafe(32)}"
        self._processes = {name: EngineProcess(log=folder / f"{name}.log") for name in self._ports}
        self.http = httpx.AsyncClient(base_url=self.url("api"), headers={"Authorization": f"Bearer {self._api_key}"})

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything that must not be seen from outside."""
        return (MANAGEMENT_KEY, *self.keys.values(), self._api_key)

    def url(self, name: str) -> str:
        """Where a process listens."""
        return f"http://127.0.0.1:{self._ports[name]}"

    def start(self, name: str) -> None:
        """Start a process."""
        if name == "openrouter":
            arguments = ["openrouter", "--port", str(self._ports[name]), "--state", f"{self.folder}/openrouter.sqlite"]
            command = [sys.executable, "-m", "clawdeploy_emulators", *arguments]
        else:
            command = [sys.executable, "-m", MODULES[_service(name)]]
        self._processes[name].start(leashed(command, signal_name="SIGKILL"), environment=self._environment(name))

    def kill(self, name: str) -> None:
        """End a process as `kill -9` does."""
        self._processes[name].kill()

    def stop(self, name: str) -> None:
        """Ask a process to end, and wait until it has; blocking. Whoever takes over 20 s is killed."""
        self._processes[name].stop(signal.SIGTERM)

    async def is_ready(self, name: str) -> bool:
        """Whether a service says that it can work."""
        try:
            return (await self.http.get(f"{self.url(name)}/readyz")).is_success
        except httpx.TransportError:
            return False

    async def start_all(self) -> None:
        """Start everything, and wait until the platform can take orders."""
        for name in ("openrouter", *SERVICES):
            self.start(name)
        await eventually(self._can_deploy, seconds=90)

    async def end(self) -> None:
        """End everything."""
        await self.http.aclose()
        for name in self._processes:
            self.kill(name)
        self.provider.remove_all()

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask the gateway, again and again while it is away; a POST carries one idempotency key through all of it."""
        headers = {"Idempotency-Key": secrets.token_hex(8)} if method == "POST" else {}
        last = "nobody answers"
        try:
            async with asyncio.timeout(60):
                while True:
                    try:
                        answer = await self.http.request(method, path, headers=headers, **options)
                    except httpx.TransportError:
                        await asyncio.sleep(0.2)
                        continue
                    last = f"{answer.status_code} {answer.text}"
                    if answer.status_code not in {409, 503}:
                        assert answer.is_success, f"{method} {path}: {last}"
                        return answer
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError(f"{method} {path}: {last}") from None

    async def json(self, method: str, path: str, **options: Any) -> Any:
        """The answer's body."""
        return (await self.ask(method, path, **options)).json()

    async def deploy(self, name: str) -> Json:
        """Ask for an agent; returns the instance as the gateway shows it now."""
        body = {"name": name, "model": "gpt-5.2", "channel": "telegram"}
        return await self.json("POST", "/v1/instances", json=body)

    async def instance(self, instance_id: str) -> Json:
        """An instance as the gateway shows it."""
        return await self.json("GET", f"/v1/instances/{instance_id}")

    async def reaches(self, instance_id: str, status: str, *, seconds: float = 180) -> Json:
        """Wait until no operation is left and the status is this one."""
        shown: Json = {}
        try:
            async with asyncio.timeout(seconds):
                while (shown.get("status"), shown.get("operation")) != (status, None):
                    await asyncio.sleep(0.1)
                    shown = await self.instance(instance_id)
        except TimeoutError:
            raise AssertionError(f"{instance_id} is not {status}: {shown}") from None
        return shown

    async def doing(self, instance_id: str, step: str) -> None:
        """Wait until the deployment has come to a step, by the provisioner's own word; a slow look finds it already past that."""
        query = """
            SELECT s.state FROM provisioner.operation_steps s JOIN provisioner.operations o ON o.id = s.operation_id
            WHERE o.instance_id = $1 AND s.name = $2
        """

        async def come() -> bool:
            return [row["state"] for row in await self.rows(query, instance_id, step)] not in ([], ["pending"])

        await eventually(come, pause=0.03)

    async def rows(self, query: str, *values: Any) -> list[Any]:
        """Rows as the database's administrator sees them."""
        return await rows(self.admin_url, query, *values)

    async def stand_in(self, path: str) -> Json:
        """A question to OpenRouter's stand-in, as its owner."""
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {MANAGEMENT_KEY}"}) as http:
            return (await http.get(f"{self.url('openrouter')}{path}")).raise_for_status().json()

    async def spend(self, instance_id: str) -> None:
        """Chat with the model as the agent would, with its key."""
        [server] = await self.rows("SELECT id FROM provisioner.servers WHERE instance_id = $1", instance_id)
        key = (self.provider.folder_of(server["id"]) / "llm_key").read_text()
        body = {"model": "openai/gpt-5.2", "messages": [{"role": "user", "content": "What is 17 + 25? " * 40}]}
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as http:
            (await http.post(f"{self.url('openrouter')}/api/v1/chat/completions", json=body)).raise_for_status()

    def _environment(self, name: str) -> dict[str, str]:
        service = _service(name)
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        path = self._python_path if name in SERVICES else str(CHECKOUT)
        common = {**kept, "PYTHONPATH": path, "OPENROUTER_MANAGEMENT_KEY": MANAGEMENT_KEY}
        if service == "openrouter":
            return common
        return {
            **common,
            **TUNING,
            **self.kafka,
            "OPENROUTER_BASE_URL": f"{self.url('openrouter')}/api/v1",
            "CLAWDEPLOY_PORT": str(self._ports[name]),
            "CLAWDEPLOY_DATABASE_URL": self._databases[service].url,
            "CLAWDEPLOY_DATABASE_WEB_URL": self._databases[service].web_url,
            **self.keys,
            **{f"CLAWDEPLOY_{other.upper()}_URL": self.url(other) for other in SERVICES},
            "CLAWDEPLOY_PUBLIC_URL": self.url("api"),
            "CLAWDEPLOY_BOOTSTRAP_API_KEY": self._api_key,
            "LIGHT_FOLDER": str(self.folder),
            "SLOW_SECONDS": str(SLOW_SECONDS),
            **self._more,
        }

    async def _can_deploy(self) -> bool:
        """The gateway knows the prices: billing, its relay and the gateway's consumer work."""
        for name in SERVICES:
            _ = self._processes[name].pid  # an error with the last lines when it has ended
        try:
            known = await self.rows("SELECT 1 FROM api.price_books, api.sealing_keys")
            answer = await self.http.get("/v1/me")
        except (httpx.TransportError, LookupError):
            return False
        return bool(known) and answer.is_success


@asynccontextmanager
async def whole_platform(
    folder: Path,
    *,
    postgres: RunningPostgres,
    kafka: Mapping[str, str],
    more: Mapping[str, str] = MappingProxyType({}),
    python_path: str = str(CHECKOUT),
) -> AsyncGenerator[WholePlatform]:
    """The platform over a PostgreSQL of the test's own and the broker that ``kafka`` (settings of clients) names.

    ``more`` is added to the services' environment; under ``python_path`` first replicas find their code.
    """
    passwords = {role: secrets.token_urlsafe(16) for role in role_names()}
    databases = await prepare_database(postgres.admin_url, database="clawdeploy", passwords=passwords)
    admin_url = with_database(postgres.admin_url, database="clawdeploy")
    platform = WholePlatform(
        folder, kafka=kafka, databases=databases, admin_url=admin_url, more=more, python_path=python_path
    )
    try:
        await platform.start_all()
        yield platform
    finally:
        await platform.end()


async def eventually(claim: Callable[[], Awaitable[bool]], *, seconds: float = 180, pause: float = 0.2) -> None:
    """Wait until a claim holds."""
    async with asyncio.timeout(seconds):
        while not await claim():
            await asyncio.sleep(pause)


async def rows(url: str, query: str, *values: Any) -> list[Any]:
    """Rows of a query; none while the database is away. A table that is not there yet is an error of LookupError's kind."""
    try:
        connection = await asyncpg.connect(url, timeout=5)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return []
    try:
        return list(await connection.fetch(query, *values))
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise LookupError(query) from error
    finally:
        await connection.close()


def second(service: str) -> str:
    """The name of a service's second replica."""
    return f"{service}-two"


def _service(name: str) -> str:
    return name.removesuffix("-two")

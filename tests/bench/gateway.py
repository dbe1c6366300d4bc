"""The real gateway as a process, with accounts that may create as much as they like; the provisioner beside it where it is wanted."""

import asyncio
import base64
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from clawdeploy_common.http import AsyncClient, HTTPError
from tests.bench.engines import program
from tests.engines.databases import Database
from tests.engines.ports import free_ports

KEY = "claw_" + "b" * 43
ACCOUNTS = 64
LIMIT = 1_000_000
NOWHERE = "http://127.0.0.1:9"


def environment_of(service: str, database: Database, broker: str, *, port: int, **more: str) -> dict[str, str]:
    """Settings of a service, every limit lifted; nothing of this machine's own."""
    embedded = more.pop("embedded", "")
    settings = {
        "PORT": str(port),
        "DATABASE_URL": database.url(service),
        "DATABASE_WEB_URL": database.web_url(service),
        "KAFKA_BOOTSTRAP_SERVERS": broker,
        "KAFKA_IDEMPOTENCE": "false" if embedded else "true",
        "KAFKA_FETCH_MAX_WAIT_MS": "40" if embedded else "100",
        "INTERNAL_SECRET": "an internal secret that is long enough",  # pragma: allowlist secret
        "BOOTSTRAP_API_KEY": KEY,
        "BOOTSTRAP_MAX_INSTANCES": str(LIMIT),
        "MUTATIONS_PER_MINUTE": "0",
        "DEPLOYS_PER_MINUTE": "0",
        "LOG_LEVEL": "warning",
        "PROVIDERS": "process",
        **dict.fromkeys(("MONITOR_URL", "BILLING_URL", "PROVISIONER_URL"), NOWHERE),
        **more,
    }
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    encryption = base64.b64encode(b"k" * 32).decode()
    own = {f"CLAWDEPLOY_{name}": value for name, value in settings.items()}
    return {**kept, **own, "ENCRYPTION_KEY": encryption, "PYTHONPATH": str(Path(__file__).parents[2])}


@dataclass(frozen=True, kw_only=True)
class Served:
    """A server under load: where it listens, and which process it is."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Processor time it has used."""
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system


@asynccontextmanager
async def gateway(database: Database, broker: str, folder: Path, **more: str) -> AsyncGenerator[Served]:
    """A gateway that answers."""
    [port] = free_ports(1)
    environment = environment_of("api", database, broker, port=port, **more)
    log = folder / "api.log"
    with program([sys.executable, "-m", "clawdeploy_api"], environment=environment, log=log) as process:
        await answering(f"http://127.0.0.1:{port}/v1/me", headers={"Authorization": f"Bearer {KEY}"})
        yield Served(port=port, pid=process.pid)


async def answering(url: str, *, headers: dict[str, str] | None = None, seconds: float = 60) -> None:
    """Wait until a URL answers 200."""
    async with AsyncClient() as http, asyncio.timeout(seconds):
        while True:
            try:
                if (await http.get(url, headers=headers)).status_code == 200:
                    return
            except HTTPError:
                pass
            await asyncio.sleep(0.1)


async def account_keys(port: int, *, number: int = ACCOUNTS) -> list[str]:
    """API keys of new accounts without a limit."""
    headers = {"Authorization": f"Bearer {KEY}"}
    keys: list[str] = []
    async with AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as http:
        for each in range(number):
            body: dict[str, Any] = {"name": f"Tenant {each}", "plan": "enterprise", "max_instances": LIMIT}
            answer = await http.post("/v1/accounts", json=body)
            keys.append(answer.raise_for_status().json()["api_key"])
    return keys

"""The gateway as a process: it migrates, answers, relays, hears itself, and ends while streams are open."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from httpx import AsyncClient, HTTPError
from tests.engines.databases import Database, Postgres
from tests.engines.ports import free_ports
from tests.engines.wheels import RunningBroker
from tests.integration.api.platform import BOOTSTRAP_KEY, CREATE


def environment_of(database: Database, broker: str, port: int) -> dict[str, str]:
    """What the gateway needs, and nothing else."""
    return {
        "PATH": os.environ["PATH"],
        "CLAWDEPLOY_PORT": str(port),
        "CLAWDEPLOY_DATABASE_URL": database.url("api"),
        "CLAWDEPLOY_DATABASE_WEB_URL": database.web_url("api"),
        "CLAWDEPLOY_KAFKA_BOOTSTRAP_SERVERS": broker,
        "CLAWDEPLOY_KAFKA_IDEMPOTENCE": "false",
        "CLAWDEPLOY_KAFKA_FETCH_MAX_WAIT_MS": "20",
        "CLAWDEPLOY_KAFKA_PARTITIONS": "2",
        "CLAWDEPLOY_INTERNAL_SECRET": "an internal secret that is long enough for tests",  # pragma: allowlist secret
        "CLAWDEPLOY_BOOTSTRAP_API_KEY": BOOTSTRAP_KEY,
        "CLAWDEPLOY_PROVIDERS": "process",
    }


@asynccontextmanager
async def running(
    database: Database, broker: str, log: Path
) -> AsyncGenerator[tuple[AsyncClient, asyncio.subprocess.Process]]:
    """The gateway, from its first start to its end."""
    [port] = free_ports(1)
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "clawdeploy_api",
            env=environment_of(database, broker, port),
            cwd=log.parent,
            stdout=output,
            stderr=output,
        )
    headers = {"Authorization": f"Bearer {BOOTSTRAP_KEY}"}
    async with AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as http:
        try:
            await ready(http)
            yield http, process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def ready(http: AsyncClient) -> None:
    """Wait for /readyz."""
    async with asyncio.timeout(60):
        while True:
            try:
                if (await http.get("/readyz")).status_code == 200:
                    return
            except HTTPError:
                pass
            await asyncio.sleep(0.1)


@pytest.fixture
async def empty_database(postgres: Postgres) -> AsyncGenerator[Database]:
    """A database in which no migration ever ran."""
    database = await postgres.create()
    yield database
    await postgres.drop(database)


async def test_an_accepted_request_comes_back_through_kafka_as_an_event(
    empty_database: Database, own_embedded_broker: RunningBroker, tmp_path: Path
) -> None:
    log = tmp_path / "api.log"
    async with running(empty_database, own_embedded_broker.bootstrap_servers, log) as (http, process):
        created = await http.post("/v1/instances", json=CREATE)
        assert created.status_code == 201, created.text
        async with asyncio.timeout(60), http.stream("GET", "/v1/stream", headers={"Last-Event-ID": "0"}) as stream:
            async for line in stream.aiter_lines():
                if line == "event: deployment.requested.v1":
                    break
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            await process.wait()
        assert time.monotonic() - began < 8
    assert BOOTSTRAP_KEY not in log.read_text()


async def test_requests_are_accepted_while_kafka_is_away(empty_database: Database, tmp_path: Path) -> None:
    """INVARIANT: losing the broker loses nothing."""
    async with running(empty_database, "127.0.0.1:9", tmp_path / "api.log") as (http, _):
        assert (await http.post("/v1/instances", json=CREATE)).status_code == 201
        report = (await http.get("/readyz")).json()
        assert (report["status"], report["relay"]) == ("ready", "away")

"""probes_per_s: what the monitor gets done on one core, every third probe asking the provisioner too, results judged and written.

Counted per second of the monitor's own processor time: it is one thread, and what else runs on the machine does not change that.
"""

import asyncio
import sys
import time
from pathlib import Path

from prometheus_client import REGISTRY
from sqlalchemy import text

import clawdeploy_monitor
from clawdeploy_common.database import Database
from clawdeploy_common.ids import new_id
from clawdeploy_common.supervision import TaskGroup
from clawdeploy_monitor.main import build, patience_of, prober_of, probes_of
from clawdeploy_monitor.models import metadata
from clawdeploy_monitor.results import ResultWriter
from clawdeploy_monitor.settings import MonitorSettings
from tests.bench.engines import Engines, folder, migrated, program
from tests.bench.figures import Figure
from tests.bench.gateway import answering
from tests.bench.size import Size
from tests.engines.ports import free_ports

WATCHES = 1_000
SECONDS = 5.0
_WATCH = text(
    """
    INSERT INTO watches (instance_id, account_id, lifecycle_version, expected, server_state, probe_url, started_at, next_probe_at, rounds)
    VALUES (:id, :account, 1, 'running', 'running', :url, clock_timestamp(), clock_timestamp(), :rounds)
    """
)


async def measure(engines: Engines, size: Size) -> list[Figure]:
    """Probes per second of processor time."""
    [port] = free_ports(1)
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "tests.bench.agents_stand_in", str(port)]
    async with engines.database() as given:
        await migrated(given, "monitor", package_file=clawdeploy_monitor.__file__, metadata=metadata)
        with folder() as logs, program(command, environment=environment, log=logs / "agents.log"):
            await answering(f"http://127.0.0.1:{port}/healthz")
            settings = _settings(given.url("monitor"), given.web_url("monitor"), f"http://127.0.0.1:{port}")
            return [await _probed(settings, size)]


def _settings(owner: str, web: str, agents: str) -> MonitorSettings:
    """Everything is always due."""
    return MonitorSettings.model_validate(
        {
            "port": 0,
            "database_url": owner,
            "database_web_url": web,
            "kafka_bootstrap_servers": "127.0.0.1:9",
            "internal_secret": "an internal secret that is long enough",  # pragma: allowlist secret
            "monitor_probe_seconds": 0.05,
            "provisioner_url": agents,
        }
    )


async def _probed(settings: MonitorSettings, size: Size) -> Figure:
    service, _ = build(settings)
    probes = probes_of(service, settings)
    writer = ResultWriter(service.database, patience_of(settings))
    prober = prober_of(service, settings, probes, writer)
    await _watch(service.database, settings.provisioner_url, number=size.of(WATCHES))
    tasks = TaskGroup()
    tasks.start("writer", writer.run)
    tasks.start("prober", prober.run)
    try:
        await asyncio.sleep(1)
        found = [await _round(SECONDS * min(1.0, size.scale)) for _ in range(size.rounds)]
    finally:
        await tasks.stop()
        await probes.close()
        await service.database.close()
    wall = sum(wall for _, wall in found) / len(found)
    return Figure(name="probes_per_s", rounds=[per_core for per_core, _ in found], facts={"beside_others_per_s": wall})


async def _watch(database: Database, url: str, *, number: int) -> None:
    """Out of step with each other, so that at any time every third probe asks the provisioner."""
    values = [{"id": new_id(), "account": new_id(), "url": url, "rounds": each} for each in range(number)]
    async with database.connection() as connection:
        await connection.execute(_WATCH, values)


async def _round(seconds: float) -> tuple[float, float]:
    """Probes per second of processor time, and per second on the clock."""
    before, cpu, began = _alive(), time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    probes, cpu, wall = _alive() - before, time.process_time() - cpu, time.perf_counter() - began
    return probes / cpu, probes / wall


def _alive() -> float:
    return REGISTRY.get_sample_value("clawdeploy_monitor_probes_total", {"result": "alive"}) or 0.0

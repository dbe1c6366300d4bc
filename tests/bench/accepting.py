"""accept_ratio: POST /v1/instances of the real gateway, against a bare FastAPI + asyncpg endpoint with two inserts.

Both run as processes under the same uvicorn, with ten database connections each; the load is the same: requests of many accounts on
many connections, each sending its next request as soon as it has its answer.
"""

import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import asyncpg

from tests.bench.bare_endpoint import TABLES
from tests.bench.engines import Engines, folder, program
from tests.bench.figures import Figure, side_by_side
from tests.bench.gateway import Served, account_keys, answering, gateway
from tests.bench.load import closed_loop, connections, creations
from tests.bench.size import Size
from tests.engines.databases import Database
from tests.engines.ports import free_ports

CONNECTIONS = 32
KAFKA_AWAY = "127.0.0.1:9"
SCHEMA = "billing"


async def measure(engines: Engines, size: Size) -> list[Figure]:
    """The path of a request alone (Kafka is away, requests are accepted all the same), and with everything the gateway does."""
    settings = {"request path": KAFKA_AWAY, "relaying and consuming too": engines.kafka}
    figures: list[Figure] = []
    for where, broker in settings.items():
        async with engines.database() as database:
            figures.append(await _compared(database, broker, size, where=where))
    return figures


async def _compared(database: Database, broker: str, size: Size, *, where: str) -> Figure:
    number = size.of(1_500)
    with folder() as logs:
        async with gateway(database, broker, logs) as served, _bare(database, logs) as bare:
            keys = await account_keys(served.port)
            sides = [_Loaded(each, creations(each.port, keys), number=number) for each in (served, bare)]
            found = await side_by_side(*sides, rounds=size.rounds)
    cpu = {f"{name}_cpu_ms": side.cpu_ms for name, side in zip(("ours", "bare"), sides, strict=True)}
    return Figure(name="accept_ratio", where=where, rounds=found.ratios, facts={**found.facts("requests_per_s"), **cpu})


class _Loaded:
    """One server under load, round after round."""

    def __init__(self, served: Served, requests: Iterator[bytes], *, number: int) -> None:
        self._served = served
        self._requests = requests
        self._number = number
        self._cpu: list[float] = []

    @property
    def cpu_ms(self) -> float:
        """Its processor time a request, in the median round; what else runs on the machine changes it less than the clock's."""
        return median(self._cpu) * 1000 / self._number

    async def __call__(self) -> float:
        """Requests per second."""
        before = self._served.cpu_seconds()
        async with connections(self._served.port, CONNECTIONS) as opened:  # a server closes those that rest for a round
            rate = await closed_loop(opened, self._requests, number=self._number)
        self._cpu.append(self._served.cpu_seconds() - before)
        return rate


@asynccontextmanager
async def _bare(database: Database, logs: Path) -> AsyncGenerator[Served]:
    """The bare endpoint on two tables of its own in the same server."""
    [port] = free_ports(1)
    connection = await asyncpg.connect(database.url(SCHEMA), server_settings={"search_path": SCHEMA})
    await connection.execute(TABLES)
    await connection.close()
    url = f"{database.url(SCHEMA)}?options=-csearch_path%3D{SCHEMA}"
    command = [sys.executable, "-m", "tests.bench.bare_endpoint", url, str(port)]
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"}
    with program(command, environment=environment, log=logs / "bare.log") as process:
        await answering(f"http://127.0.0.1:{port}/openapi.json")
        yield Served(port=port, pid=process.pid)

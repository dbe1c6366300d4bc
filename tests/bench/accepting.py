"""accept_ratio: POST /v1/instances of the real gateway, against a bare FastAPI + asyncpg endpoint with two inserts.

Both run as processes under the same uvicorn, with ten database connections each; the load is the same: requests of many accounts on
many connections, each sending its next request as soon as it has its answer.
"""

import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from tests.bench.bare_endpoint import TABLES
from tests.bench.engines import Engines, folder, program
from tests.bench.figures import Comparison, Figure, Side, side_by_side
from tests.bench.gateway import account_keys, answering, gateway
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
            found = await _compared(database, broker, size)
        facts = found.facts("requests_per_s")
        figures.append(Figure(name="accept_ratio", where=where, rounds=found.ratios, facts=facts))
    return figures


async def _compared(database: Database, broker: str, size: Size) -> Comparison:
    number = size.of(3_000)
    with folder() as logs:
        async with gateway(database, broker, logs) as port, _bare(database, logs) as bare_port:
            keys = await account_keys(port)
            return await side_by_side(
                _side(port, creations(port, keys), number=number),
                _side(bare_port, creations(bare_port, keys), number=number),
                rounds=size.rounds,
            )


def _side(port: int, requests: Iterator[bytes], *, number: int) -> Side:
    async def work() -> float:
        async with connections(port, CONNECTIONS) as opened:  # a server closes those that rest for a round
            return await closed_loop(opened, requests, number=number)

    return work


@asynccontextmanager
async def _bare(database: Database, logs: Path) -> AsyncGenerator[int]:
    """The bare endpoint on two tables of its own in the same server."""
    [port] = free_ports(1)
    connection = await asyncpg.connect(database.url(SCHEMA), server_settings={"search_path": SCHEMA})
    await connection.execute(TABLES)
    await connection.close()
    url = f"{database.url(SCHEMA)}?options=-csearch_path%3D{SCHEMA}"
    command = [sys.executable, "-m", "tests.bench.bare_endpoint", url, str(port)]
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"}
    with program(command, environment=environment, log=logs / "bare.log"):
        await answering(f"http://127.0.0.1:{port}/openapi.json")
        yield port

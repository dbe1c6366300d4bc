"""first_step_p50_ms, first_step_p99_ms: from a request that was sent and accepted to the beginning of its operation's first step.

The real gateway, relay, broker, intake and runner; a provider that does nothing, no limits; what follows the first step waits. The
clock starts when the request is sent, and stops at the database's time of the first step.
"""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg

from tests.bench.engines import Engines, folder, program
from tests.bench.figures import Figure, percentile
from tests.bench.gateway import account_keys, answering, environment_of, gateway
from tests.bench.load import Answered, connections, creations, open_loop
from tests.bench.size import Size
from tests.engines.apache_kafka import ApacheKafka
from tests.engines.databases import Database
from tests.engines.ports import free_ports
from tests.engines.wheels import RunningBroker

RATES = {10.0: 60, 100.0: 300}
"""Requests a second, and how many of them: what two cores carry easily, and what is more than they carry."""
CONNECTIONS = 64
UNLIMITED = {"OPERATION_CONCURRENCY": "1000", "PROVIDER_CONCURRENCY": "1000"}
_BEGUN = """
    SELECT o.instance_id, extract(epoch FROM s.started_at) AS at FROM provisioner.operations o
    JOIN provisioner.operation_steps s ON s.operation_id = o.id AND s.position = 1 WHERE s.started_at IS NOT NULL
"""


async def measure(engines: Engines, size: Size) -> list[Figure]:
    """On Apache Kafka, and on the embedded broker."""
    return [*await _measured(engines, size, embedded=False), *await _measured(engines, size, embedded=True)]


async def _measured(engines: Engines, size: Size, *, embedded: bool) -> list[Figure]:
    rounds: list[list[_Round]] = []
    for _ in range(min(3, size.rounds)):
        async with engines.database() as database:
            rounds.append(await _rounds(database, size, embedded=embedded))
    broker = "embedded broker" if embedded else "Apache Kafka"
    return [figure for same in zip(*rounds, strict=True) for figure in _figures(same, broker)]


def _figures(rounds: Sequence["_Round"], broker: str) -> list[Figure]:
    """Of the rounds at one rate."""
    found = [each.latencies for each in rounds]
    where = f"{rounds[0].per_second:.0f} requests/s, {broker}"
    facts = {
        "sent": float(sum(each.sent for each in rounds)),
        "accepted": float(sum(map(len, found))),
        "slowest_ms": max(map(max, found)),
    }
    return [
        Figure(name=f"first_step_p{p}_ms", where=where, rounds=[percentile(r, p) for r in found], facts=facts)
        for p in (50, 99)
    ]


@dataclass(frozen=True, kw_only=True)
class _Round:
    """Requests at one rate: how many were sent, and the milliseconds of each that was accepted."""

    per_second: float
    sent: int
    latencies: list[float]


async def _rounds(database: Database, size: Size, *, embedded: bool) -> list[_Round]:
    """One round at each rate, the calm one first."""
    more = {"embedded": "yes"} if embedded else {}
    with folder() as logs:
        async with (
            _broker(logs, embedded=embedded) as broker,
            gateway(database, broker, logs, **more) as served,
            _provisioner(database, broker, logs, **more),
        ):
            requests = creations(served.port, await account_keys(served.port))
            await _round(database, served.port, requests, per_second=20, number=20)  # warms up
            return [
                await _round(database, served.port, requests, per_second=rate, number=size.of(number))
                for rate, number in RATES.items()
            ]


async def _round(database: Database, port: int, requests: Iterator[bytes], *, per_second: float, number: int) -> _Round:
    async with connections(port, CONNECTIONS) as opened:
        sent = await open_loop(opened, requests, number=number, per_second=per_second)
    answered = [each for each in sent if each.accepted]
    latencies = _latencies(answered, await _begun(database, answered))
    return _Round(per_second=per_second, sent=number, latencies=latencies)


@asynccontextmanager
async def _broker(logs: Path, *, embedded: bool) -> AsyncGenerator[str]:
    """An empty broker of this round's own."""
    broker = RunningBroker(logs / "broker") if embedded else ApacheKafka(logs / "kafka")
    await broker.start()
    try:
        yield broker.bootstrap_servers
    finally:
        broker.kill()


@asynccontextmanager
async def _provisioner(database: Database, broker: str, logs: Path, **more: str) -> AsyncGenerator[None]:
    [port] = free_ports(1)
    environment = environment_of("provisioner", database, broker, port=port, **UNLIMITED, **more)
    command = [sys.executable, "-m", "tests.bench.idle_provisioner"]
    with program(command, environment=environment, log=logs / "provisioner.log"):
        await answering(f"http://127.0.0.1:{port}/readyz")
        yield


async def _begun(database: Database, answered: list[Answered]) -> Mapping[UUID, float]:
    """When each first step began, in Unix seconds, once all have."""
    wanted = {_instance(each) for each in answered}
    connection = await asyncpg.connect(database.admin_url)
    try:
        async with asyncio.timeout(180):
            while True:
                found = {row["instance_id"]: float(row["at"]) for row in await connection.fetch(_BEGUN)}
                if wanted <= found.keys():
                    return found
                await asyncio.sleep(0.5)
    finally:
        await connection.close()


def _instance(answered: Answered) -> UUID:
    return UUID(json.loads(answered.body)["id"])


def _latencies(answered: list[Answered], begun: Mapping[UUID, float]) -> list[float]:
    return [(begun[_instance(each)] - each.sent_at) * 1000 for each in answered]

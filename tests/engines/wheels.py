"""The engines of the Python wheels as running processes."""

import asyncio
import secrets
from pathlib import Path

from clawdeploy_cli.engines import broker, postgres
from clawdeploy_cli.engines.broker import EmbeddedBroker
from clawdeploy_cli.engines.postgres import EmbeddedPostgres
from tests.engines.ports import free_ports
from tests.engines.process import EngineProcess


class RunningPostgres:
    """A server below `folder`, which every account can enter (as root it runs as another). Speed over durability
    of the machine: its data survive kill -9, not a power cut."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        password_file = folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(secrets.token_urlsafe(24))
        [port] = free_ports(1)
        self.server = EmbeddedPostgres(
            data_dir=folder / "postgres", port=port, password_file=password_file, fsync=False
        )
        self.process = EngineProcess(log=folder / "postgres.log")

    @property
    def admin_url(self) -> str:
        """The superuser's address."""
        return self.server.admin_url

    async def start(self) -> None:
        """Start the server on its data and wait until it answers."""
        await asyncio.to_thread(self.server.prepare)
        self.process.start(self.server.command(), environment=self.server.environment())
        await self.server.wait_ready()

    def kill(self) -> None:
        """End the server as `kill -9` does. The data stay."""
        self.process.kill()

    def stop(self) -> None:
        """End the server in good order."""
        self.process.stop(postgres.STOP_SIGNAL)

    def remove(self) -> None:
        """Stop the server and delete its data."""
        self.stop()
        self.server.remove()


class RunningBroker:
    """An embedded broker; a restart forgets everything."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        [port] = free_ports(1)
        self.server = EmbeddedBroker(port=port)
        self.process = EngineProcess(log=folder / "broker.log")

    @property
    def bootstrap_servers(self) -> str:
        """The address that clients are given."""
        return self.server.bootstrap_servers

    async def start(self) -> None:
        """Start the broker and wait until it answers."""
        self.process.start(self.server.command(), environment=self.server.environment())
        await self.server.wait_ready()

    def kill(self) -> None:
        """End the broker as `kill -9` does."""
        self.process.kill()

    def stop(self) -> None:
        """End the broker in good order."""
        self.process.stop(broker.STOP_SIGNAL)

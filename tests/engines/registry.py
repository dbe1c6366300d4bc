"""An image registry on loopback (Debian's docker-registry), and a way to it that is as slow as a real one's."""

import asyncio
import os
import signal
from pathlib import Path

from clawdeploy_cli.engines.leash import leashed
from clawdeploy_cli.engines.readiness import wait_until_ready
from clawdeploy_common.http import AsyncClient, HTTPError
from tests.engines.debian import debian_package
from tests.engines.ports import free_ports
from tests.engines.process import EngineProcess

_CONFIGURATION = """
version: 0.1
log: {{accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/images}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
_CHUNK = 64 * 1024


class Registry:
    """The registry at ``address``; engines speak HTTP with it, because it is on loopback."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        [port] = free_ports(1)
        self.address = f"127.0.0.1:{port}"
        self._program = debian_package("docker-registry") / "usr" / "bin" / "docker-registry"
        self._configuration = folder / "config.yml"
        self._configuration.write_text(_CONFIGURATION.format(folder=folder, port=port))
        self._process = EngineProcess(log=folder / "registry.log")

    async def start(self) -> None:
        """Start it and wait until it answers."""
        command = leashed([str(self._program), "serve", str(self._configuration)])
        self._process.start(command, environment=dict(os.environ))
        async with AsyncClient() as http:

            async def answers() -> bool:
                try:
                    return (await http.get(f"http://{self.address}/v2/")).is_success
                except HTTPError:
                    return False

            await wait_until_ready("the registry", answers, seconds=30)

    def stop(self) -> None:
        """End it; what was pushed stays."""
        self._process.stop(signal.SIGTERM)


class SlowWay:
    """Passes connections on to a registry, ``bytes_per_second`` at most on the way back."""

    def __init__(self, registry: Registry, *, bytes_per_second: int) -> None:
        self._target = registry.address
        self._pause_s = _CHUNK / bytes_per_second
        self._server: asyncio.Server | None = None
        self.address = ""

    async def open(self) -> None:
        """Listen on a port of its own."""
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self._target.partition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(
            _copy(reader, far_writer, pause_s=0),
            _copy(far_reader, writer, pause_s=self._pause_s),
            return_exceptions=True,
        )


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, pause_s: float) -> None:
    try:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(pause_s)
    finally:
        writer.close()

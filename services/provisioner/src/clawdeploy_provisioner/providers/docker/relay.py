"""A way from a cell to one port of this machine's loopback address.

A model server, or the stand-in for one, that listens on 127.0.0.1 cannot be reached from a container. For each such cell we listen on
its own network's gateway address, which nobody but that cell reaches, and pass bytes on. With an outside model provider nothing runs.
"""

import asyncio
import ipaddress
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

import structlog

log = structlog.get_logger()

_CHUNK = 65_536
_PORTS = {"http": 80, "https": 443}


def loopback_port(url: str) -> int | None:
    """The port of a URL that names this machine's loopback address, else None."""
    parts = urlsplit(url)
    return (parts.port or _PORTS.get(parts.scheme)) if _is_loopback(parts.hostname or "") else None


def as_seen_from(gateway: str, url: str) -> str:
    """The same URL through the relay at ``gateway``; one that names another machine stays as it is."""
    port = loopback_port(url)
    return url if port is None else urlunsplit(urlsplit(url)._replace(netloc=f"{gateway}:{port}"))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Relays:
    """The relays of this provisioner; of several on a machine the first one listens, the others are content."""

    def __init__(self) -> None:
        self._servers: dict[tuple[str, int], asyncio.Server] = {}
        self._connections: set[asyncio.Task[None]] = set()

    async def ensure(self, gateway: str, port: int) -> None:
        """Listen on ``gateway``:``port``, unless somebody does; what stands in the way is tried again at the next call."""
        known = self._servers.get((gateway, port))
        if known is not None and known.is_serving():
            return
        try:
            server = await asyncio.start_server(lambda r, w: self._relay(r, w, port), gateway, port)
        except OSError as error:
            log.info("relay.not_opened", gateway=gateway, port=port, error=type(error).__name__)
            return
        self._servers[gateway, port] = server

    def keep(self, gateways: set[str]) -> None:
        """Close the relays of networks that are gone."""
        for gateway, port in [key for key in self._servers if key[0] not in gateways]:
            self._servers.pop((gateway, port)).close()

    async def close(self) -> None:
        """Close them all, with what runs through them."""
        self.keep(set())
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        with suppress(OSError):
            await _join(reader, writer, port)
        writer.close()


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    there, back = await asyncio.open_connection("127.0.0.1", port)
    try:
        await asyncio.gather(_pass(reader, back), _pass(there, writer))
    finally:
        back.close()


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while chunk := await source.read(_CHUNK):
        sink.write(chunk)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()

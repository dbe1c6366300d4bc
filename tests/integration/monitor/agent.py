"""A gateway that answers ``/healthz`` as OpenClaw does, or as a test wants it to."""

import asyncio

LIVE = b'{"ok":true,"status":"live"}'
PAGE = b"<!doctype html><title>OpenClaw Control</title>"


class Agent:
    """A loopback HTTP server of a few lines, which counts how often it was asked."""

    def __init__(self) -> None:
        self.body = LIVE
        self.delay_s = 0.0
        self.asked = 0
        self.held = asyncio.Event()
        self.held.set()
        self._server: asyncio.Server | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Its base address; the port stays its own over stops and starts."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            await self.held.wait()
            await asyncio.sleep(self.delay_s)
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + self.body)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

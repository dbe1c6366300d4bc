"""Agents and the provisioner's view of them, as the monitor asks: `python -m tests.bench.agents_stand_in PORT`."""

import asyncio
import sys

import uvloop

LIVE = b'{"ok":true,"status":"live"}'
VIEW = b'{"server_state":"running","channel":"ready","disk_free_bytes":10000000000,"detail":null}'


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One answer a connection: a monitor of many agents does not keep a connection to each."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        body = LIVE if head.startswith(b"GET /healthz ") else VIEW
        answer = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
        )
        writer.write(answer % (len(body), body))
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main(port: int) -> None:
    """Serve until killed."""
    server = await asyncio.start_server(_answer, "127.0.0.1", port, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))

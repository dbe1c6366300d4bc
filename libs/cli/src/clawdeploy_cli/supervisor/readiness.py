"""When a process is ready: small checks without a client library, so that the supervisor stays small."""

import asyncio
import contextlib

from clawdeploy_cli.supervisor.spec import Check

TIMEOUT_S = 2.0


def http_ok(host: str, port: int, path: str) -> Check:
    """Ready when `GET path` answers 200."""

    async def check() -> bool:
        return await _status(host, port, path) == 200  # noqa: PLR2004 - HTTP's OK

    return check


def port_open(host: str, port: int) -> Check:
    """Ready when something accepts connections there."""

    async def check() -> bool:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(TIMEOUT_S):
                _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return True
        return False

    return check


async def _status(host: str, port: int, path: str) -> int | None:
    """HTTP status of a GET; None when nobody answers in time."""
    with contextlib.suppress(OSError, TimeoutError, ValueError, IndexError):
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, port)
            with contextlib.closing(writer):
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
                return int((await reader.readline()).split()[1])
    return None

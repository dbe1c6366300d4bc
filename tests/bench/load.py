"""HTTP load that costs almost nothing: keep-alive connections that write ready-made requests (a client library would cost more
than what it measures)."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Answered:
    """When a request was sent (Unix seconds), whether it was accepted, and what came back."""

    sent_at: float
    answered_at: float
    accepted: bool
    body: bytes


class Connection:
    """One keep-alive connection; requests come one after another."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def post(self, request: bytes) -> Answered:
        """Send a ready-made request."""
        sent_at = time.time()
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        body = await self._reader.readexactly(_length(head))
        accepted = head.startswith(b"HTTP/1.1 201 ")
        return Answered(sent_at=sent_at, answered_at=time.time(), accepted=accepted, body=body)

    def close(self) -> None:
        """Close it."""
        self._writer.close()


def _length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.split(b"\r\n", 1)[0])


@asynccontextmanager
async def connections(port: int, number: int) -> AsyncGenerator[list[Connection]]:
    """Open connections to a local server."""
    opened = [Connection(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(number)]
    try:
        yield opened
    finally:
        for connection in opened:
            connection.close()


def creations(port: int, keys: Sequence[str]) -> Iterator[bytes]:
    """Requests that ask for instances, of one account after the other, no two alike; the same for both sides."""
    number = 0
    while True:
        for key in keys:
            number += 1
            body = {"name": f"Agent {number}", "model": "gpt-5.2", "channel": "telegram"}
            yield _request(port, key, body)


def _request(port: int, key: str, body: dict[str, Any]) -> bytes:
    payload = json.dumps(body).encode()
    head = (
        f"POST /v1/instances HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


async def closed_loop(opened: Sequence[Connection], requests: Iterator[bytes], *, number: int) -> float:
    """Requests per second when every connection sends the next as soon as it has its answer; raises RuntimeError at a refusal."""
    left = number

    async def work(connection: Connection) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            answered = await connection.post(next(requests))
            if not answered.accepted:
                raise RuntimeError(f"refused: {answered.body!r}")

    began = time.perf_counter()
    await asyncio.gather(*(work(connection) for connection in opened))
    return number / (time.perf_counter() - began)


async def open_loop(
    opened: Sequence[Connection], requests: Iterator[bytes], *, number: int, per_second: float
) -> list[Answered]:
    """Requests at a fixed rate, whether or not the earlier ones were answered."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for connection in opened:
        free.put_nowait(connection)
    answered: list[Answered] = []

    async def one() -> None:
        connection = await free.get()
        answered.append(await connection.post(next(requests)))
        free.put_nowait(connection)

    loop, tasks = asyncio.get_running_loop(), list[asyncio.Task[None]]()
    began = loop.time()
    for each in range(number):
        await asyncio.sleep(max(0.0, began + each / per_second - loop.time()))
        tasks.append(asyncio.create_task(one()))
    await asyncio.gather(*tasks)
    return answered

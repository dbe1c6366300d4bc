"""What an agent may answer to a knock, and what the monitor makes of it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from clawdeploy_monitor.knocking import Unintelligible, get

LIVE = b'{"ok":true,"status":"live"}'
MOST = 4096
ANSWERS = {
    "counted": b"HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n" + LIVE,
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n"
    + LIVE[:5]
    + b"\r\n16\r\n"
    + LIVE[5:]
    + b"\r\n0\r\n\r\n",
    "until the end": b"HTTP/1.0 200 OK\r\n\r\n" + LIVE,
}
NOT_HTTP = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "something else spoken": b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "too much": b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MOST + 1),
}


@asynccontextmanager
async def answering(answer: bytes) -> AsyncGenerator[str]:
    """A server that gives one answer and closes."""

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answered, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/healthz"


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_is_read_however_its_end_is_told(answer: bytes) -> None:
    async with answering(answer) as url:
        assert await get(url, most_bytes=MOST) == (200, LIVE)


@pytest.mark.parametrize("answer", NOT_HTTP.values(), ids=NOT_HTTP)
async def test_what_is_no_answer_is_told_as_an_error(answer: bytes) -> None:
    async with answering(answer) as url:
        with pytest.raises(Unintelligible):
            await get(url, most_bytes=MOST)


async def test_a_connection_closed_without_a_word_is_an_error() -> None:
    async with answering(b"") as url:
        with pytest.raises(ConnectionResetError):
            await get(url, most_bytes=MOST)

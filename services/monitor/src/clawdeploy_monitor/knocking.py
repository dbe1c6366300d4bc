"""One GET on a connection of its own. Agents are many and each is asked seldom, so a pool would keep nothing for the next time, and
a client library costs several times what the question does."""

import asyncio
from urllib.parse import urlsplit

import httptools

_CHUNK = 16 * 1024


class Unintelligible(OSError):
    """What came is not HTTP, or more of it than is wanted; the message says which."""


class _Answer:
    """What the parser found."""

    def __init__(self) -> None:
        self.body = b""
        self.is_complete = False

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_complete = True


async def get(url: str, *, most_bytes: int) -> tuple[int, bytes]:
    """Status and body; raises OSError, Unintelligible among them. Time is the caller's to limit."""
    asked = urlsplit(url)
    port = asked.port or (443 if asked.scheme == "https" else 80)
    reader, writer = await asyncio.open_connection(asked.hostname, port, ssl=asked.scheme == "https" or None)
    try:
        head = f"GET {asked.path or '/'} HTTP/1.1\r\nHost: {asked.netloc}\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        return await _answer(reader, most_bytes=most_bytes)
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader, *, most_bytes: int) -> tuple[int, bytes]:
    answer, read = _Answer(), 0
    parser = httptools.HttpResponseParser(answer)
    while not answer.is_complete and (data := await reader.read(_CHUNK)):
        read += len(data)
        if read > most_bytes:
            raise Unintelligible("the answer is too large")
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise Unintelligible("the answer is not HTTP") from error
    if not read:
        raise ConnectionResetError
    return parser.get_status_code(), answer.body

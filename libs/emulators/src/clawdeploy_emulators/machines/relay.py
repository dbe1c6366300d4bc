"""A way from a machine to ports of this host's loopback address, through the address at which containers see the host."""

import asyncio
from contextlib import suppress

import structlog

log = structlog.get_logger()

_CHUNK = 65_536
_LOOPBACK = "127.0.0.1"


async def carry(address: str, port: int) -> asyncio.Server | None:
    """Listen on ``address``:``port`` and pass bytes on to the same port of loopback; None when somebody listens there already."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await _join(reader, writer, port)
        writer.close()

    try:
        return await asyncio.start_server(relay, address, port)
    except OSError as error:
        log.info("relay.not_opened", address=address, port=port, error=type(error).__name__)
        return None


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    there, back = await asyncio.open_connection(_LOOPBACK, port)
    try:
        await asyncio.gather(_pass(reader, back), _pass(there, writer))
    finally:
        back.close()


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while chunk := await source.read(_CHUNK):
        sink.write(chunk)
        await sink.drain()
    with suppress(OSError):
        sink.write_eof()

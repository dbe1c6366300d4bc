"""The live stream: server-sent events read from the account's feed, so that any replica serves any client.

A stream reads a page, sends it, and waits for the signal of a commit in this process or, for what other replicas did, a short poll.
It holds no connection while it waits.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from uuid import UUID

from fastapi.sse import format_sse_event

from clawdeploy_api import event_feed
from clawdeploy_api.errors import TooManyRequests
from clawdeploy_api.public.event import Event
from clawdeploy_common.database import Database

PAGE = 100
StillWelcome = Callable[[], Awaitable[bool]]


class EventStream:
    """The live streams of this process."""

    def __init__(
        self, database: Database, stopping: asyncio.Event, *, poll_s: float, keep_alive_s: float, per_account: int
    ) -> None:
        self._database = database
        self._stopping = stopping
        self._poll_s = poll_s
        self._keep_alive_s = keep_alive_s
        self._per_account = per_account
        self._open: Counter[UUID] = Counter()

    def require_place(self, account_id: UUID) -> None:
        """Raises TooManyRequests when the account has as many streams open as it may."""
        if self._open[account_id] >= self._per_account:
            reason = f"{self._per_account} streams are open already"
            raise TooManyRequests(reason, retry_after=self._keep_alive_s, limit_headers={})

    async def position(self, account_id: UUID) -> int:
        """Where a stream begins that was not asked to resume."""
        async with self._database.web_transaction(account_id) as unit:
            return await event_feed.last_position(unit, account_id)

    async def follow(self, account_id: UUID, position: int, *, still_welcome: StillWelcome) -> AsyncGenerator[bytes]:
        """Everything after a position, for ever: until the service stops or the caller is no longer welcome."""
        self._open[account_id] += 1
        try:
            async for chunk in self._follow(account_id, position, still_welcome):
                yield chunk
        finally:
            self._open[account_id] -= 1
            if not self._open[account_id]:
                del self._open[account_id]

    async def _follow(self, account_id: UUID, position: int, still_welcome: StillWelcome) -> AsyncGenerator[bytes]:
        yield format_sse_event(
            comment="connected", id=str(position)
        )  # so that who is cut off before the first event misses none
        sent_at = time.monotonic()
        while not self._stopping.is_set():
            signal = self._database.feed_grown.next(account_id)
            events = await self._read(account_id, position)
            for event in events:
                yield _encode(event)
                position, sent_at = event.position, time.monotonic()
            if len(events) < PAGE:
                await _wait(signal, self._poll_s)
            if time.monotonic() - sent_at >= self._keep_alive_s:
                if not await still_welcome():
                    return
                yield format_sse_event(comment="keep-alive")
                sent_at = time.monotonic()

    async def _read(self, account_id: UUID, position: int) -> list[Event]:
        async with self._database.web_transaction(account_id) as unit:
            return list(await event_feed.after(unit, account_id, position, internal=True, limit=PAGE))


def _encode(event: Event) -> bytes:
    return format_sse_event(data_str=event.model_dump_json(), event=event.type, id=str(event.position))


async def _wait(signal: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await signal.wait()

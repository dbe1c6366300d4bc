"""Agents at rest whose question is held open until what is wanted of them changes.

Wishes are rows, so it does not matter which process was told of one: each looks at the rows of the agents it holds, all at once.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import text

from clawdeploy_common.database import Database
from clawdeploy_provisioner.on_server.messages import Heard

HELD_S = 25.0
"""How long an answer is held: below the minute after which proxies on the way give up."""
_LOOK_S = 0.5
_MOST = 2000

_WISHES = text(
    """
    SELECT id, wanted, generation, CASE WHEN revoked_at IS NULL THEN configuration_id END AS configuration_id
    FROM server_agents WHERE id = ANY(:ids)
    """
)


@dataclass(frozen=True, kw_only=True)
class _Held:
    heard: Heard
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class WaitingAgents:
    """Holds as many as ``most``, for ``seconds`` each; who comes on top of them is answered at once and asks again later."""

    def __init__(
        self, database: Database, stopping: asyncio.Event, *, seconds: float = HELD_S, most: int = _MOST
    ) -> None:
        self._database = database
        self._stopping = stopping
        self._seconds = seconds
        self._most = most
        self._held: dict[UUID, _Held] = {}

    async def wait(self, server_id: UUID, heard: Heard) -> bool:
        """Until something else is wanted than was heard, or it was long enough; False when there was no room to wait.

        An agent that asks again, having lost the answer, takes its own place.
        """
        if self._stopping.is_set() or len(self._held) >= self._most:
            return False
        held = self._held[server_id] = _Held(heard=heard)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await held.changed.wait()
        finally:
            if self._held.get(server_id) is held:
                del self._held[server_id]
        return True

    async def run(self) -> None:
        """Look, by one query for all of them, until the service is to stop: then they are answered, and another process will hold them."""
        while not self._stopping.is_set():
            if self._held:
                await self._look()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._stopping.wait()
        for held in self._held.values():
            held.changed.set()
        await asyncio.Event().wait()  # a loop that ends is begun again

    async def _look(self) -> None:
        async with self._database.transaction() as unit:
            rows = (await unit.session.execute(_WISHES, {"ids": list(self._held)})).all()
        for row in rows:
            held = self._held.get(row.id)
            if held is not None and held.heard != told_of(row):
                held.changed.set()


def told_of(row: Any) -> Heard:
    """What the agent of this row is told."""
    return Heard(wanted=row.wanted, generation=row.generation, configuration_id=row.configuration_id)

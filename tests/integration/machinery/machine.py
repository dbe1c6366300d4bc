"""The machinery of one throw-away service, its parts within a test's reach."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import text
from tests.engines.databases import Database as TestDatabase
from tests.integration.machinery.throwaway.events import Counted
from tests.integration.machinery.throwaway.handlers import Handlers
from tests.integration.machinery.throwaway.models import metadata

from clawdeploy_common.database import Database
from clawdeploy_common.dead_letters import DeadLetters
from clawdeploy_common.drainer import Drainer
from clawdeploy_common.events import topic_of
from clawdeploy_common.inbox import Inbox
from clawdeploy_common.relay import Relay
from clawdeploy_common.replay import Replay
from clawdeploy_common.settings import ServiceSettings
from clawdeploy_common.subscription import Subscription
from clawdeploy_common.supervision import TaskGroup

INTERNAL_SECRET = "an internal secret that is long enough for tests"  # pragma: allowlist secret


def settings_for(service: str, database: TestDatabase, broker: str, *, embedded: bool = False) -> ServiceSettings:
    """Settings of a service on a test's engines."""
    return ServiceSettings.model_validate(
        {
            "port": 0,
            "database_url": database.url(service),
            "database_web_url": database.web_url(service),
            "kafka_bootstrap_servers": broker,
            "kafka_idempotence": not embedded,
            "kafka_fetch_max_wait_ms": 20 if embedded else 100,
            "kafka_session_timeout_ms": 2_000 if embedded else 10_000,
            "kafka_partitions": 4,
            "internal_secret": INTERNAL_SECRET,
            "relay_poll_seconds": 0.05,
        }
    )


class Machine:
    """Relay, inbox, subscriptions, drainer, replay of one service; ``consumes`` names producers."""

    def __init__(self, name: str, settings: ServiceSettings, *, consumes: Sequence[str] = ()) -> None:
        self.name = name
        self.settings = settings
        self.handlers = Handlers()
        self.database = Database(settings, producer=name)
        self.inbox = Inbox(self.database, projectors=self.handlers.projectors, reactors=self.handlers.reactors)
        self.relay = Relay(self.database, settings)
        self.drainer = Drainer(self.database, self.inbox, poll_seconds=0.05)
        self.dead_letters = DeadLetters(self.database)
        topics = [topic_of(producer) for producer in consumes]
        self.subscriptions = [Subscription(self.database, settings, self.inbox, topic=topic) for topic in topics]
        self.replay = Replay(self.database, settings, self.inbox, topics=topics, metadata=metadata)

    async def emit(self, key: UUID, *amounts: int, account_id: UUID | None = None, poison: str = "") -> None:
        """Commit one event per amount to a key's stream."""
        async with self.database.transaction() as unit:
            for amount in amounts:
                unit.outbox.add(Counted(amount=amount, poison=poison), key=key, account_id=account_id)

    async def rows(self, query: str, **values: Any) -> list[Any]:
        """Rows of a query as the owner."""
        async with self.database.connection() as connection:
            return list((await connection.execute(text(query), values)).all())

    async def scalar(self, query: str, **values: Any) -> Any:
        """One value as the owner."""
        async with self.database.connection() as connection:
            return await connection.scalar(text(query), values)

    async def reacted(self) -> dict[UUID, list[int]]:
        """Versions each key's reactor saw, in the order in which it saw them."""
        found: dict[UUID, list[int]] = {}
        for row in await self.rows("SELECT key, version FROM reactions ORDER BY id"):
            found.setdefault(row.key, []).append(row.version)
        return found

    async def tallied(self) -> dict[UUID, tuple[int, int, int]]:
        """Per key: total, number of events, last version."""
        rows = await self.rows("SELECT key, total, events, last_version FROM tallies")
        return {row.key: (row.total, row.events, row.last_version) for row in rows}

    @asynccontextmanager
    async def running(self, *loops: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
        """Run some loops (all of the machine's when none are given), supervised as in a service."""
        tasks = TaskGroup()
        chosen = loops or (self.relay.run, self.drainer.run, *(s.run for s in self.subscriptions))
        for number, loop in enumerate(chosen):
            tasks.start(f"{self.name}-{number}", loop)
        try:
            yield
        finally:
            await tasks.stop()


async def eventually(claim: Callable[[], Awaitable[bool]], *, seconds: float = 60, every: float = 0.05) -> None:
    """Wait until a claim holds; fails after ``seconds``."""
    async with asyncio.timeout(seconds):
        while not await claim():
            await asyncio.sleep(every)

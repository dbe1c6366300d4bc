"""The two doors to a service's schema: the owner's (migrations, relay, consumers, runners) and the web role's (row-level security)."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy import text

from clawdeploy_common.pool import Pool
from clawdeploy_common.session import Session
from clawdeploy_common.settings import ServiceSettings
from clawdeploy_common.wakeup import Signals, Wakeup
from clawdeploy_common.work import UnitOfWork

_ANSWER = text("SELECT 1")


class Database:
    """Connections of one service, and the only place transactions begin and end.

    ``producer`` is the service's name. After a commit that added events, ``outbox_filled`` wakes the relay and ``events_added`` a
    loop of the service's own; ``jobs_added`` wakes the job runner.
    """

    def __init__(self, settings: ServiceSettings, *, producer: str) -> None:
        self.producer = producer
        self.outbox_filled = Wakeup()
        self.jobs_added = Wakeup()
        self.feed_grown = Signals()
        self.events_added = Wakeup()
        self.owner, self.web = (
            Pool(
                url.get_secret_value(),
                schema=producer,
                size=settings.database_pool_size,
                idle_s=settings.database_idle_transaction_seconds,
                traced=settings.trace_sql,
            )
            for url in (settings.database_url, settings.database_web_url)
        )

    async def close(self) -> None:
        """Give all connections back."""
        await self.owner.close()
        await self.web.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[UnitOfWork]:
        """One transaction as the owner; commits at the end, rolls back on any exception."""
        async with self.owner.transaction() as session:
            unit = UnitOfWork(session)
            yield unit
            await unit.flush()
        self._wake(unit)

    @asynccontextmanager
    async def web_transaction(self, account_id: UUID | None) -> AsyncGenerator[UnitOfWork]:
        """One transaction as the web role, behind the account's wall; without an account no tenant's row is visible."""
        async with self.web.transaction(_begin_behind_wall(account_id)) as session:
            unit = UnitOfWork(session)
            yield unit
            await unit.flush()
        self._wake(unit)

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Session]:
        """A plain transaction as the owner: for the machinery, which has no events of its own to add."""
        async with self.owner.transaction() as session:
            yield session

    async def answers(self) -> bool:
        """Whether the database answers at all."""
        try:
            async with self.owner.autocommit() as session:
                await session.execute(_ANSWER)
        except Exception:  # noqa: BLE001 - any failure means the same to the caller: it does not answer
            return False
        return True

    def _wake(self, unit: UnitOfWork) -> None:
        if unit.outbox.flushed:
            self.outbox_filled.set()
            self.events_added.set()
        if unit.jobs.added:
            self.jobs_added.set()
        for account_id in unit.feed.grown:
            self.feed_grown.set(account_id)


def _begin_behind_wall(account_id: UUID | None) -> str:
    """One round trip for both; a UUID has no quotes."""
    account = "" if account_id is None else UUID(int=account_id.int)
    return f"BEGIN; SELECT set_config('clawdeploy.account', '{account}', true)"

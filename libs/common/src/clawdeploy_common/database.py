"""The two doors to a service's schema: the owner's (migrations, relay, consumers, runners) and the web role's (row-level security)."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import event, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from clawdeploy_common.settings import ServiceSettings
from clawdeploy_common.wakeup import Signals, Wakeup
from clawdeploy_common.work import UnitOfWork

# A peer that vanished without a word is noticed after 5 + 3 × 5 s, so its locks are freed (PostgreSQL manual, 19.3.2).
_KEEPALIVES = {"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}


def async_url(url: str) -> str:
    """A ``postgresql://`` address for SQLAlchemy's asyncpg dialect."""
    return "postgresql+asyncpg://" + url.split("://", 1)[1]


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
        self.owner = _engine(settings.database_url.get_secret_value(), producer, settings.database_pool_size)
        self.web = _engine(settings.database_web_url.get_secret_value(), producer, settings.database_pool_size)

    async def close(self) -> None:
        """Give all connections back."""
        await self.owner.dispose()
        await self.web.dispose()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[UnitOfWork]:
        """One transaction as the owner; commits at the end, rolls back on any exception."""
        async with AsyncSession(self.owner, expire_on_commit=False) as session:
            unit = UnitOfWork(session)
            async with session.begin():
                yield unit
                await unit.flush()
            self._wake(unit)

    @asynccontextmanager
    async def web_transaction(self, account_id: UUID | None) -> AsyncGenerator[UnitOfWork]:
        """One transaction as the web role, behind the account's wall; without an account no tenant's row is visible."""
        async with AsyncSession(self.web, expire_on_commit=False) as session:
            unit = UnitOfWork(session)
            async with session.begin():
                await session.execute(
                    text("SELECT set_config('clawdeploy.account', :account, true)"), {"account": str(account_id or "")}
                )
                yield unit
                await unit.flush()
            self._wake(unit)

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[AsyncConnection]:
        """A plain connection as the owner, in a transaction: for the machinery, which has no events of its own to add."""
        async with self.owner.begin() as connection:
            yield connection

    async def answers(self) -> bool:
        """Whether the database answers at all."""
        try:
            async with self.owner.connect() as connection:
                await connection.execute(text("SELECT 1"))
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


def _engine(url: str, schema: str, pool_size: int) -> AsyncEngine:
    engine = create_async_engine(
        async_url(url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        hide_parameters=True,
        connect_args={
            "server_settings": {"search_path": schema, "application_name": f"clawdeploy-{schema}", **_KEEPALIVES},
            "timeout": 5,
        },
    )
    event.listen(engine.sync_engine, "checkout", _replace_closed)
    return engine


def _replace_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """Give a fresh connection for one whose peer is gone. The driver knows; asking the server (pre-ping) takes three round trips."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError

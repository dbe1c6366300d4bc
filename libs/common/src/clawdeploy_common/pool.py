"""asyncpg's pool as one door to a service's schema: it connects when it is used, and gives back only what is clean."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg

from clawdeploy_common.session import Row, Session

# A peer that vanished without a word is noticed after 5 + 3 × 5 s, so its locks are freed (PostgreSQL manual, 19.3.2).
_KEEPALIVES = {"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
_CONNECT_S = 5.0
_WAIT_S = 10.0 + _CONNECT_S
_ROLLBACK_S = 5.0
_CLOSE_S = 2.0
_KEPT_S = 30.0
"""A connection nobody needed for so long is closed: each is a process of the server's, with 2 to 6 MB."""


class NotCommitted(Exception):
    """The server rolled a transaction back that was to be committed: an error in it had been passed over."""


class Pool:
    """At most ``size`` connections, each made when there is work for it and closed when there is none for half a minute.

    A transaction whose owner says nothing for ``idle_s`` seconds is ended by the server: a process that stands still holds no locks.
    """

    def __init__(self, url: str, *, schema: str, size: int, idle_s: int, traced: bool = False) -> None:
        self._url = url
        self._schema = schema
        self._size = size
        self._idle_s = idle_s
        self._traced = traced
        self._pool: Any = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Close all connections; those still in use after two seconds are cut, and their transactions rolled back."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                async with asyncio.timeout(_CLOSE_S):
                    await pool.close()
            except Exception:  # noqa: BLE001 - whatever keeps them open
                pool.terminate()

    @asynccontextmanager
    async def transaction(self, begin: str = "BEGIN") -> AsyncGenerator[Session]:
        """One transaction; commits at the end, rolls back on any exception. Nothing in ``begin`` may come from outside.

        Raises OSError when there is no server, TimeoutError when none was free, or made, in fifteen seconds, and asyncpg's errors.
        """
        async with self._connection() as connection:
            try:
                await connection.execute(begin)
                yield Session(connection, traced=self._traced)
                said = await connection.execute("COMMIT")
            except BaseException:
                await _undo(connection)
                raise
            if said != "COMMIT":
                raise NotCommitted(said)

    @asynccontextmanager
    async def autocommit(self) -> AsyncGenerator[Session]:
        """Statements that are each a transaction of their own: one round trip instead of three."""
        async with self._connection() as connection:
            yield Session(connection, traced=self._traced)

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[Any]:
        pool = self._pool or await self._open()
        async with asyncio.timeout(_WAIT_S):
            connection = await pool.acquire()
        try:
            yield connection
        finally:
            # a connection that cannot be given back is closed by the pool; what was committed stands
            with suppress(Exception):
                await pool.release(connection, timeout=_ROLLBACK_S)

    async def _open(self) -> Any:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=0,
                    max_size=self._size,
                    max_inactive_connection_lifetime=_KEPT_S,
                    init=_speak_json,
                    reset=_keep,
                    record_class=Row,
                    timeout=_CONNECT_S,
                    server_settings={
                        "search_path": self._schema,
                        "application_name": f"clawdeploy-{self._schema}",
                        "idle_in_transaction_session_timeout": f"{self._idle_s}s",
                        **_KEEPALIVES,
                    },
                )
        return self._pool


async def _speak_json(connection: Any) -> None:
    """JSON is read as values; it is written by SQLAlchemy's types, as text."""
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, schema="pg_catalog", encoder=str, decoder=json.loads)


async def _keep(_connection: Any) -> None:
    """Nothing but transactions changes a connection, so nothing is to be reset between two of them."""


async def _undo(connection: Any) -> None:
    """Roll back, whatever state the transaction is in; a connection that does not even do that is given up."""
    if connection.is_closed():
        return
    try:
        # the driver's own limit leaves out its wait for a statement's cancellation
        async with asyncio.timeout(_ROLLBACK_S):
            await connection.execute("ROLLBACK")
    except Exception:  # noqa: BLE001 - whatever it is, the server rolls back what it is not told to commit
        connection.terminate()
    except BaseException:
        connection.terminate()
        raise

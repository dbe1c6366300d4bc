"""A session: one connection of asyncpg's pool, and statements written with SQLAlchemy's ``text()``.

SQLAlchemy stays the language of statements (names, types of values); it compiles each once. The driver runs them: a transaction of two
small statements takes a quarter of the processor time that it takes through SQLAlchemy's own session.
"""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import asyncpg
from sqlalchemy import TextClause
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

from clawdeploy_common import tracing

_DIALECT = asyncpg_dialect()


class Row(asyncpg.Record):
    """A row: its columns by name, as attributes or as keys, and by number."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class UnexpectedRows(Exception):
    """A statement gave no row, or several, where one was required."""


@dataclass(frozen=True, slots=True)
class _Compiled:
    """What the driver is given: the statement, and where each of its arguments comes from."""

    sql: str
    arguments: tuple[tuple[str, Callable[[Any], Any] | None], ...]

    def values(self, given: Mapping[str, Any]) -> list[Any]:
        """The arguments in their order; raises KeyError when one is missing."""
        return [given[name] if make is None else make(given[name]) for name, make in self.arguments]


@lru_cache(maxsize=1_024)
def _compiled(statement: TextClause) -> _Compiled:
    compiled: Any = statement.compile(dialect=_DIALECT)
    names: Sequence[str] = compiled.positiontup or ()
    types = {name: compiled.binds[name].type.dialect_impl(_DIALECT) for name in names}
    return _Compiled(compiled.string, tuple((name, types[name].bind_processor(_DIALECT)) for name in names))


class Result:
    """The rows of one statement."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def all(self) -> Sequence[Any]:
        """Every row."""
        return self._rows

    def first(self) -> Any:
        """The first row, None without one."""
        return self._rows[0] if self._rows else None

    def one_or_none(self) -> Any:
        """The only row, None without one; raises UnexpectedRows when there are several."""
        if len(self._rows) > 1:
            raise UnexpectedRows(f"{len(self._rows)} rows instead of one")
        return self.first()

    def one(self) -> Any:
        """The only row; raises UnexpectedRows when there is none, or several."""
        if not self._rows:
            raise UnexpectedRows("no row instead of one")
        return self.one_or_none()

    def scalar(self) -> Any:
        """The first column of the first row, None without a row."""
        return self._rows[0][0] if self._rows else None

    def scalar_one(self) -> Any:
        """The first column of the only row; raises UnexpectedRows."""
        return self.one()[0]

    def scalar_one_or_none(self) -> Any:
        """The first column of the only row, None without one; raises UnexpectedRows."""
        row = self.one_or_none()
        return None if row is None else row[0]

    def scalars(self) -> "Result":
        """The first column of each row."""
        return Result([row[0] for row in self._rows])

    def mappings(self) -> "Result":
        """Each row as a dictionary."""
        return Result([dict(row) for row in self._rows])


class Session:
    """Statements on one connection. Whoever made it begins and ends its transaction."""

    def __init__(self, connection: Any, *, traced: bool = False) -> None:
        self._connection = connection
        self._traced = traced
        self._savepoints = 0

    async def execute(self, statement: TextClause, params: Any = None) -> Result:
        """Run a statement with its named values, or once for each of several sets of them, which gives no rows.

        Raises asyncpg's own errors: PostgresError for what the server says, InterfaceError when the connection is lost.
        """
        compiled = _compiled(statement)
        if not self._traced:
            return await self._run(compiled, params)
        with tracing.querying(compiled.sql):
            return await self._run(compiled, params)

    async def _run(self, compiled: _Compiled, params: Any) -> Result:
        try:
            if isinstance(params, Sequence):
                many = cast("Sequence[Mapping[str, Any]]", params)
                await self._connection.executemany(compiled.sql, [compiled.values(each) for each in many])
                return Result(())
            return Result(await self._connection.fetch(compiled.sql, *compiled.values(params or {})))
        except OSError as error:  # the connection's, and not to be taken for a handler's own
            raise asyncpg.InterfaceError(f"the connection was lost: {type(error).__name__}") from error

    async def scalar(self, statement: TextClause, params: Any = None) -> Any:
        """The first column of the first row, None without a row."""
        return (await self.execute(statement, params)).scalar()

    @asynccontextmanager
    async def begin_nested(self) -> AsyncGenerator[None]:
        """A savepoint; what was done in it is undone on any exception."""
        self._savepoints += 1
        name = f"savepoint_{self._savepoints}"
        await self._connection.execute(f"SAVEPOINT {name}")
        try:
            yield
        except Exception:
            await self._connection.execute(f"ROLLBACK TO SAVEPOINT {name}; RELEASE SAVEPOINT {name}")
            raise
        await self._connection.execute(f"RELEASE SAVEPOINT {name}")

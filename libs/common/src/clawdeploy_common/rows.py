"""Rows of a declared table as objects of its class: added, read under the caller's lock, and written back by their key.

Nothing is remembered between two statements: what is to be kept is saved where it was changed.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, TypeVar, cast

from sqlalchemy import Table, TextClause, bindparam, text
from sqlalchemy.orm import DeclarativeBase

from clawdeploy_common.session import Session

Model = TypeVar("Model", bound=DeclarativeBase)


def columns_of(model: type[DeclarativeBase]) -> str:
    """A table's columns, as a SELECT names them: a newer release's columns are left out."""
    return ", ".join(f'"{column.name}"' for column in _table(model).columns)


async def select(session: Session, model: type[Model], statement: TextClause, **values: Any) -> Sequence[Model]:
    """What a statement of ``selecting`` finds."""
    return [model(**dict(row)) for row in await session.execute(statement, values)]


def selecting(model: type[DeclarativeBase], rest: str, **types: Any) -> TextClause:
    """A SELECT of a table's rows; ``rest`` is what follows FROM, with the types of its values where they are not plain."""
    statement = text(f"SELECT {columns_of(model)} FROM {_table(model).name} {rest}")  # noqa: S608 - names of our own metadata
    return statement.bindparams(*(bindparam(name, type_=type_) for name, type_ in types.items()))


async def add(session: Session, row: DeclarativeBase) -> None:
    """Insert a row with all its values; raises asyncpg's UniqueViolationError when its key is taken."""
    await session.execute(_inserting(type(row)), _values(row))


async def add_all(session: Session, rows: Iterable[DeclarativeBase]) -> None:
    """Insert several rows of one table."""
    found = list(rows)
    if found:
        await session.execute(_inserting(type(found[0])), [_values(row) for row in found])


async def save(session: Session, *rows: DeclarativeBase) -> None:
    """Write rows of one table back; whoever read them holds their lock."""
    if rows:
        await session.execute(_updating(type(rows[0])), [_values(row) for row in rows])


def _values(row: DeclarativeBase) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _names(type(row))}


@cache
def _names(model: type[DeclarativeBase]) -> Sequence[str]:
    return [
        column.name for column in _table(model).columns if column.identity is None and column.server_onupdate is None
    ]


@cache
def _inserting(model: type[DeclarativeBase]) -> TextClause:
    names = _names(model)
    listed, given = ", ".join(f'"{name}"' for name in names), ", ".join(f":{name}" for name in names)
    return _typed(model, f"INSERT INTO {_table(model).name} ({listed}) VALUES ({given})")  # noqa: S608 - names of our own metadata


@cache
def _updating(model: type[DeclarativeBase]) -> TextClause:
    keys = [column.name for column in _table(model).primary_key]
    changed = ", ".join(f'"{name}" = :{name}' for name in _names(model) if name not in keys)
    where = " AND ".join(f'"{name}" = :{name}' for name in keys)
    return _typed(model, f"UPDATE {_table(model).name} SET {changed} WHERE {where}")  # noqa: S608 - names of our own metadata


def _typed(model: type[DeclarativeBase], sql: str) -> TextClause:
    columns = _table(model).columns
    return text(sql).bindparams(*(bindparam(name, type_=columns[name].type) for name in _names(model)))


def _table(model: type[DeclarativeBase]) -> Table:
    return cast("Table", model.__table__)

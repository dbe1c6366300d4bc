"""Which version of which key was applied last, per kind of handler (law 2)."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Text, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from clawdeploy_common.handlers import Kind

Position = tuple[str, UUID]

_POSITIONS = (bindparam("sources", type_=ARRAY(Text)), bindparam("keys", type_=ARRAY(Uuid)))
_READ = text(
    """
    SELECT p.source, p.key, p.version FROM unnest(:sources, :keys) AS i(source, key)
    JOIN progress p ON p.kind = :kind AND p.source = i.source AND p.key = i.key
    """
).bindparams(*_POSITIONS)
_CREATE = text(
    """
    INSERT INTO progress (kind, source, key)
    SELECT :kind, i.source, i.key FROM unnest(:sources, :keys) AS i(source, key) ORDER BY i.source, i.key
    ON CONFLICT DO NOTHING
    """
).bindparams(*_POSITIONS)
_LOCK = text(
    """
    SELECT p.source, p.key, p.version FROM progress p
    WHERE p.kind = :kind AND (p.source, p.key) IN (SELECT * FROM unnest(:sources, :keys))
    ORDER BY p.source, p.key FOR UPDATE
    """
).bindparams(*_POSITIONS)
_WRITE = text(
    """
    UPDATE progress p SET version = i.version FROM unnest(:sources, :keys, :versions) AS i(source, key, version)
    WHERE p.kind = :kind AND p.source = i.source AND p.key = i.key
    """
).bindparams(*_POSITIONS, bindparam("versions", type_=ARRAY(BigInteger)))


async def read(session: AsyncSession, kind: Kind, positions: Iterable[Position]) -> dict[Position, int]:
    """Last versions without locking; keys never seen are absent."""
    rows = await session.execute(_READ, _parameters(kind, positions))
    return {(row.source, row.key): row.version for row in rows}


async def lock(session: AsyncSession, kind: Kind, positions: Iterable[Position]) -> dict[Position, int]:
    """Last versions, 0 for keys never seen, locked until the transaction ends."""
    parameters = _parameters(kind, positions)
    await session.execute(_CREATE, parameters)
    rows = await session.execute(_LOCK, parameters)
    return {(row.source, row.key): row.version for row in rows}


async def write(session: AsyncSession, kind: Kind, versions: dict[Position, int]) -> None:
    """Store last versions of locked keys."""
    if versions:
        await session.execute(_WRITE, {**_parameters(kind, versions), "versions": list(versions.values())})


def _parameters(kind: Kind, positions: Iterable[Position]) -> dict[str, object]:
    listed = list(positions)
    return {"kind": kind, "sources": [source for source, _ in listed], "keys": [key for _, key in listed]}

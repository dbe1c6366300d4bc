"""Which version of which key was applied last, per kind of handler (law 2)."""

from collections.abc import Collection, Mapping
from itertools import cycle
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Text, Uuid, bindparam, text

from clawdeploy_common.events import Position
from clawdeploy_common.handlers import Kind
from clawdeploy_common.session import Session

Versions = dict[Kind, dict[Position, int]]

_KINDS = bindparam("kinds", type_=ARRAY(Text))
_POSITIONS = (bindparam("sources", type_=ARRAY(Text)), bindparam("keys", type_=ARRAY(Uuid)))
_LOCK = text(  # LATERAL and ON CONFLICT look each row up by its key, whatever the planner believes of the table's size
    """
    SELECT p.kind, p.source, p.key, p.version
    FROM (SELECT k.kind, i.source, i.key FROM unnest(:kinds) AS k(kind), unnest(:sources, :keys) AS i(source, key)
          ORDER BY k.kind, i.source, i.key) AS i
    CROSS JOIN LATERAL
        (SELECT * FROM progress p WHERE p.kind = i.kind AND p.source = i.source AND p.key = i.key FOR UPDATE) AS p
    """
).bindparams(_KINDS, *_POSITIONS)
_CREATE = text(
    """
    INSERT INTO progress (kind, source, key)
    SELECT k.kind, i.source, i.key FROM unnest(:kinds) AS k(kind), unnest(:sources, :keys) AS i(source, key)
    ORDER BY k.kind, i.source, i.key
    ON CONFLICT DO NOTHING RETURNING kind, source, key, version
    """
).bindparams(_KINDS, *_POSITIONS)
_WRITE = text(
    """
    INSERT INTO progress (kind, source, key, version)
    SELECT * FROM unnest(:kinds, :sources, :keys, :versions) AS i(kind, source, key, version)
    ON CONFLICT (kind, source, key) DO UPDATE SET version = excluded.version
    """
).bindparams(_KINDS, *_POSITIONS, bindparam("versions", type_=ARRAY(BigInteger)))


async def lock(session: Session, kinds: Collection[Kind], positions: Collection[Position]) -> Versions:
    """Last versions, 0 for keys never seen, locked until the transaction ends."""
    found: Versions = {kind: {} for kind in kinds}
    missing = positions
    for statement in cycle((_LOCK, _CREATE)):  # what another made meanwhile is there to be locked in the next turn
        for kind, source, key, version in await session.execute(statement, {"kinds": list(kinds), **columns(missing)}):
            found[kind][source, key] = version
        missing = [at for at in missing if any(at not in versions for versions in found.values())]
        if not missing:
            break
    return found


async def write(session: Session, versions: Mapping[Kind, Mapping[Position, int]]) -> None:
    """Store last versions of locked keys."""
    rows = [(kind, at, version) for kind, found in versions.items() for at, version in found.items()]
    if rows:
        kinds, positions, numbers = zip(*rows, strict=True)
        await session.execute(_WRITE, {"kinds": list(kinds), **columns(positions), "versions": list(numbers)})


def columns(positions: Collection[Position]) -> dict[str, list[Any]]:
    """Positions as arrays, one a column."""
    return {"sources": [source for source, _ in positions], "keys": [key for _, key in positions]}

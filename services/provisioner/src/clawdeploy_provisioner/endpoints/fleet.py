"""The fleet per provider: what there is, what is owed, what nobody owned."""

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import ROUND_UP, Decimal
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import text

from clawdeploy_common.database import Database
from clawdeploy_common.internal import Operator

_FLEET = text(
    """
    SELECT p.name,
      (SELECT count(*) FROM servers s WHERE s.provider = p.name AND s.accepted_at IS NOT NULL AND s.destroyed_at IS NULL) AS servers,
      (SELECT count(*) FROM cleanup_debts d
        WHERE d.provider = p.name AND d.resource = 'server' AND d.settled_at IS NULL) AS debts,
      count(o.id) FILTER (WHERE o.removed_at IS NULL) AS orphans, count(o.removed_at) AS removed,
      (SELECT swept_at FROM sweeps w WHERE w.provider = p.name) AS last_sweep,
      coalesce(sum(ceil(extract(epoch FROM coalesce(o.removed_at, clock_timestamp()) - o.since) / 3600))
        FILTER (WHERE o.resource = 'server'), 0) AS orphan_hours
    FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS p (name, place) LEFT JOIN orphans o ON o.provider = p.name
    GROUP BY p.name, p.place ORDER BY p.place
    """
)
_CENT = Decimal("0.01")


class ProviderFleet(BaseModel):
    """One provider; ``lost`` is the most that servers nobody owned can have cost. Keys and firewalls count as orphans and cost nothing."""

    name: str
    emulated: bool
    servers: int
    debts: int
    orphans: int
    removed: int
    last_sweep: datetime | None
    lost: Decimal


class Fleet(BaseModel):
    """Every provider that is switched on."""

    items: list[ProviderFleet]


def fleet_router(database: Database, *, emulated: Collection[str], hourly: Mapping[str, Decimal]) -> APIRouter:
    """``/internal/operator/fleet``; ``hourly`` are the highest prices that may be paid, by the providers that take money."""
    router = APIRouter(prefix="/internal/operator", include_in_schema=False)

    @router.get("/fleet")
    async def fleet(_: Operator) -> Fleet:
        async with database.connection() as connection:
            rows = (await connection.execute(_FLEET, {"names": list(hourly)})).all()
        return Fleet(items=[_seen(row, emulated=row.name in emulated, hourly=hourly[row.name]) for row in rows])

    return router


def _seen(row: Any, *, emulated: bool, hourly: Decimal) -> ProviderFleet:
    return ProviderFleet(
        name=row.name,
        emulated=emulated,
        servers=row.servers,
        debts=row.debts,
        orphans=row.orphans,
        removed=row.removed,
        last_sweep=row.last_sweep,
        lost=(row.orphan_hours * hourly).quantize(_CENT, rounding=ROUND_UP),
    )

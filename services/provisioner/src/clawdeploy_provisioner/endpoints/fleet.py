"""The fleet per provider: what there is, what is owed, what nobody owned."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
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
        FILTER (WHERE o.resource = 'server'), 0) AS orphan_hours,
      coalesce(sum(extract(year FROM l.age) * 12 + extract(month FROM l.age)
          + CASE WHEN l.age = date_trunc('month', l.age) AND l.age <> interval '0' THEN 0 ELSE 1 END)
        FILTER (WHERE o.resource = 'server'), 0) AS orphan_months
    FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS p (name, place) LEFT JOIN orphans o ON o.provider = p.name
      LEFT JOIN LATERAL (SELECT age(coalesce(o.removed_at, clock_timestamp()) AT TIME ZONE 'UTC', o.since AT TIME ZONE 'UTC') AS age) l
        ON true
    WHERE p.name <> 'own' OR EXISTS (SELECT 1 FROM own_servers) OR EXISTS (SELECT 1 FROM servers s WHERE s.provider = 'own')
    GROUP BY p.name, p.place ORDER BY p.place
    """
)
_CENT = Decimal("0.01")


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The most a server may cost, net in the account's currency: begun hours count, or begun months where it is sold by the month."""

    amount: Decimal = Decimal(0)
    monthly: bool = False


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
    """Every provider that is switched on; the operator's own machines once there are any."""

    items: list[ProviderFleet]


def fleet_router(database: Database, *, emulated: Collection[str], limits: Mapping[str, Limit]) -> APIRouter:
    """``/internal/operator/fleet``; ``limits`` are the highest prices that may be paid, by provider."""
    router = APIRouter(prefix="/internal/operator", include_in_schema=False)

    @router.get("/fleet")
    async def fleet(_: Operator) -> Fleet:
        async with database.connection() as connection:
            rows = (await connection.execute(_FLEET, {"names": list(limits)})).all()
        return Fleet(items=[_seen(row, emulated=row.name in emulated, limit=limits[row.name]) for row in rows])

    return router


def _seen(row: Any, *, emulated: bool, limit: Limit) -> ProviderFleet:
    begun = row.orphan_months if limit.monthly else row.orphan_hours
    return ProviderFleet(
        name=row.name,
        emulated=emulated,
        servers=row.servers,
        debts=row.debts,
        orphans=row.orphans,
        removed=row.removed,
        last_sweep=row.last_sweep,
        lost=(begun * limit.amount).quantize(_CENT, rounding=ROUND_UP),
    )

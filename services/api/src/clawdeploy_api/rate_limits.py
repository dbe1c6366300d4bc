"""Rate limits shared by all replicas: GCRA, one UPSERT on an unlogged table, in its own statement.

The generic cell rate algorithm (ITU-T I.371) keeps one timestamp per key: the theoretical arrival time of the next request. A request
is let in while that time is at most the whole span ahead; so a span's worth may come at once, then one each span/limit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ARRAY, Interval, Text, bindparam, text

from clawdeploy_api.errors import TooManyRequests
from clawdeploy_common.database import Database

SPAN = timedelta(minutes=1)
_ADMIT = text(
    """
    INSERT INTO rate_limits AS r (key, tat, step, span)
    SELECT i.key, clock_timestamp() + i.step, i.step, i.span FROM unnest(:keys, :steps, :spans) AS i(key, step, span) ORDER BY i.key
    ON CONFLICT (key) DO UPDATE SET tat = greatest(r.tat, clock_timestamp()) + excluded.step, step = excluded.step, span = excluded.span
    WHERE greatest(r.tat, clock_timestamp()) + excluded.step <= clock_timestamp() + excluded.span
    RETURNING key, tat - clock_timestamp() AS ahead
    """
).bindparams(
    bindparam("keys", type_=ARRAY(Text)),
    bindparam("steps", type_=ARRAY(Interval)),
    bindparam("spans", type_=ARRAY(Interval)),
)
_AHEAD = text("SELECT tat - clock_timestamp() FROM rate_limits WHERE key = :key")
_FORGET = text("DELETE FROM rate_limits WHERE tat < clock_timestamp()")


@dataclass(frozen=True, kw_only=True)
class Limit:
    """So many of a kind per minute and account."""

    kind: str
    per_minute: int

    @property
    def step(self) -> timedelta:
        """The time one request costs."""
        return SPAN / self.per_minute


class RateLimits:
    """Admits requests, or says when to come again."""

    def __init__(self, database: Database, *, mutations_per_minute: int, deploys_per_minute: int) -> None:
        self._pool = database.owner
        self.mutations = Limit(kind="mutations", per_minute=mutations_per_minute)
        self.deploys = Limit(kind="deploys", per_minute=deploys_per_minute)

    async def admit(self, account_id: UUID, limits: Sequence[Limit]) -> dict[str, str]:
        """Count a request against limits; returns response headers, raises TooManyRequests."""
        effective = {f"{account_id}:{limit.kind}": limit for limit in limits if limit.per_minute}
        if not effective:
            return {}
        values = {
            "keys": list(effective),
            "steps": [limit.step for limit in effective.values()],
            "spans": [SPAN] * len(effective),
        }
        async with self._pool.autocommit() as connection:
            ahead: dict[str, timedelta] = {r.key: r.ahead for r in await connection.execute(_ADMIT, values)}
            for key, limit in effective.items():
                if key not in ahead:
                    waiting = await connection.scalar(_AHEAD, {"key": key})
                    raise refusal(limit, waiting or SPAN)
        return min((headers(limit, ahead[key]) for key, limit in effective.items()), key=_remaining)

    async def forget(self) -> None:
        """Delete the rows that no longer limit anybody."""
        async with self._pool.autocommit() as connection:
            await connection.execute(_FORGET)


def headers(limit: Limit, ahead: timedelta) -> dict[str, str]:
    """What a limit has left when its time is so far ahead; seconds are rounded up."""
    left = max(0, math.floor((SPAN - ahead) / limit.step))
    reset = max(0, math.ceil(ahead.total_seconds()))
    return {
        "RateLimit-Limit": str(limit.per_minute),
        "RateLimit-Remaining": str(left),
        "RateLimit-Reset": str(reset),
    }


def refusal(limit: Limit, ahead: timedelta) -> TooManyRequests:
    """The refusal of a request that came too early, with the seconds until the next is let in."""
    wait = max(1.0, math.ceil((ahead + limit.step - SPAN).total_seconds()))
    limit_headers = {**headers(limit, ahead), "RateLimit-Remaining": "0"}
    reason = f"{limit.per_minute} {limit.kind} a minute are allowed; come again in {wait:.0f} s"
    return TooManyRequests(reason, retry_after=wait, limit_headers=limit_headers)


def _remaining(found: dict[str, str]) -> int:
    return int(found["RateLimit-Remaining"])

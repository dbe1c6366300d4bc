"""An outside API's rate limit, kept in SQL so that every process with the same token shares it."""

from datetime import timedelta

from sqlalchemy import text

from clawdeploy_common.database import Database
from clawdeploy_provisioner.providers.protocol import ProviderUnavailable

_TAKE = text(
    """
    INSERT INTO rate_budgets AS b (name, remaining, refilled_at, calls)
    VALUES (:name, CAST(:size AS integer) - 1, clock_timestamp(), 1)
    ON CONFLICT (name) DO UPDATE SET calls = b.calls + 1, (remaining, refilled_at) = (
      SELECT LEAST(:size, b.remaining + whole) - 1,
        CASE WHEN b.remaining + whole >= :size THEN clock_timestamp()
             ELSE b.refilled_at + make_interval(secs => whole / :rate) END
      FROM (SELECT floor(:rate * extract(epoch FROM clock_timestamp() - b.refilled_at)) AS whole) AS gained)
    WHERE (b.closed_until IS NULL OR b.closed_until <= clock_timestamp())
      AND b.remaining + floor(:rate * extract(epoch FROM clock_timestamp() - b.refilled_at)) >= 1
    RETURNING remaining
    """
)  # only whole calls are gained, and what is left of the time counts next time: nothing is rounded up
_CORRECT = text("UPDATE rate_budgets SET remaining = LEAST(remaining, :seen) WHERE name = :name")
_CLOSE = text(
    "UPDATE rate_budgets SET closed_until = clock_timestamp() + make_interval(secs => :seconds) WHERE name = :name"
)
_RETRY_S = 5.0


class RateLimited(ProviderUnavailable):
    """The provider takes no more calls at the moment."""

    code = "provider-rate-limited"


class RateBudget:
    """A bucket of ``size`` calls that refills at ``rate`` a second; the provider's own figures correct it."""

    def __init__(self, database: Database, *, name: str, size: int, rate: float) -> None:
        self._database = database
        self._values = {"name": name, "size": size, "rate": rate}

    async def take(self) -> None:
        """Before a call; raises RateLimited."""
        async with self._database.transaction() as unit:
            if await unit.session.scalar(_TAKE, self._values) is None:
                raise RateLimited("the provider's rate limit is used up", retry_after=_RETRY_S)

    async def correct(self, seen: int) -> None:
        """After an answer that says how many calls are left."""
        async with self._database.transaction() as unit:
            await unit.session.execute(_CORRECT, {"name": self._values["name"], "seen": seen})

    async def close(self, period: timedelta) -> None:
        """After a refusal: nobody calls for so long."""
        async with self._database.transaction() as unit:
            await unit.session.execute(_CLOSE, {"name": self._values["name"], "seconds": period.total_seconds()})

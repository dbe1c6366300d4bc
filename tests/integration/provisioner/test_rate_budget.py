"""The rate budget of an outside API, on a real PostgreSQL."""

import pytest
from sqlalchemy import text
from tests.integration.provisioner.conftest import Platform

from clawdeploy_provisioner.providers.budget import RateBudget, RateLimited

_A_MOMENT_PASSES = text("UPDATE rate_budgets SET refilled_at = refilled_at - make_interval(secs => :seconds)")


async def test_many_short_pauses_gain_no_more_calls_than_their_sum(platform: Platform) -> None:
    """INVARIANT: however often it is asked, a budget gives no more calls than its size and what the time is worth, and no fewer."""
    database = platform.service.database
    budget = RateBudget(database, name="test", size=10, rate=0.5)
    taken = 0
    for _ in range(100):
        async with database.transaction() as unit:
            await unit.session.execute(_A_MOMENT_PASSES, {"seconds": 1.2})
        try:
            await budget.take()
            taken += 1
        except RateLimited:
            continue
    assert 68 <= taken <= 90, "10 and 60; more only where the test itself took long"


async def test_a_budget_that_is_used_up_refuses(platform: Platform) -> None:
    budget = RateBudget(platform.service.database, name="test", size=1, rate=0.001)
    await budget.take()
    with pytest.raises(RateLimited):
        await budget.take()

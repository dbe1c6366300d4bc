"""Leases and several runners: whoever lost an operation changes nothing, and limits hold however many there are (law 6)."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.engines.databases import Database
from tests.integration.provisioner.conftest import Instance, Platform, openrouter_in, provisioner
from tests.light.moments import Hold

from clawdeploy_common.ids import new_id
from clawdeploy_provisioner.operations import leases

EXPIRE = (
    "UPDATE operations SET lease_until = clock_timestamp() - interval '1 second' WHERE id = :id RETURNING lease_token"
)


@asynccontextmanager
async def two_provisioners(
    database: Database, folder: Path, **changes: Any
) -> AsyncGenerator[tuple[Platform, Platform]]:
    """Two provisioners of one platform."""
    openrouter = openrouter_in(folder)
    async with (
        provisioner(database, folder, openrouter=openrouter, **changes) as first,
        provisioner(database, folder, openrouter=openrouter, **changes) as second,
    ):
        yield first, second


async def held_by_either(first: Platform, second: Platform, moment: str) -> tuple[Hold, Platform]:
    """Wait until one of two provisioners stands still at a moment; returns its hold and the other provisioner."""
    holds = [(first.moments.hold(moment), second), (second.moments.hold(moment), first)]
    waits = [asyncio.ensure_future(hold.reached.wait()) for hold, _ in holds]
    done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED, timeout=20)
    for wait in pending:
        wait.cancel()
    (index,) = [waits.index(wait) for wait in done]
    holds[1 - index][0].release()
    return holds[index]


def paused(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on no runner renews a lease: what a process that stands still does."""

    async def never(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(leases, "renew", never)


@pytest.mark.parametrize("moment", ["before ensure_server", "after ensure_server", "before start", "after start"])
async def test_a_runner_paused_past_its_lease_commits_nothing_and_its_successor_finishes(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """INVARIANT: every commit carries the lease; one server and one key exist at the end."""
    async with two_provisioners(database, tmp_path) as (first, second):
        waiting = asyncio.ensure_future(held_by_either(first, second, moment))
        await asyncio.sleep(0)
        instance = await first.deploy()
        hold, successor = await waiting
        with monkeypatch.context() as patch:
            paused(patch)
            await asyncio.sleep(0.8)  # the renewal under way has come back
            await successor.rows(EXPIRE, id=instance.deployment_id)
            await successor.done(instance.deployment_id)
            before = await successor.events(instance.id)
            hold.release()  # the one that stood still wakes up, and says what it did
            await asyncio.sleep(1)
        assert await successor.events(instance.id) == before
        assert len(successor.provider.created) == 1
        assert len(await successor.live_keys()) == 1
        told = await successor.told(instance.id)
        assert (told.count("server.created.v1"), told.count("llm_key.minted.v1")) == (1, 1)
        assert told.count("deployment.succeeded.v1") == 1


async def test_an_operation_whose_row_is_worked_on_keeps_no_other_from_being_renewed(platform: Platform) -> None:
    """INVARIANT: all leases of a runner are renewed together, and none of them waits for another's transaction."""
    holds = [platform.moments.hold("before ensure_server") for _ in range(2)]
    worked_on, other = [await platform.deploy() for _ in holds]
    for hold in holds:
        await hold.reached.wait()
    async with platform.service.database.transaction() as unit:
        lock = text("SELECT 1 FROM operations WHERE id = :id FOR UPDATE")
        await unit.session.execute(lock, {"id": worked_on.deployment_id})
        before = (await platform.operation(other.deployment_id)).stalled_seconds
        charged = "SELECT stalled_seconds > :before FROM operations WHERE id = :id"
        await platform.until(charged, True, id=other.deployment_id, before=before)
    for hold in holds:
        hold.release()
    for instance in (worked_on, other):
        await platform.done(instance.deployment_id)


async def test_a_lease_that_is_lost_ends_the_work_at_once(platform: Platform) -> None:
    held = platform.moments.hold("before ensure_installed")
    instance = await platform.deploy()
    await held.reached.wait()
    (row,) = await platform.rows(
        "UPDATE operations SET lease_token = lease_token + 1, lease_until = clock_timestamp() - interval '1 s' WHERE id = :id "
        "RETURNING lease_token",
        id=instance.deployment_id,
    )
    await platform.done(instance.deployment_id)  # claimed again, and the step begins anew
    assert (await platform.operation(instance.deployment_id)).lease_token > row.lease_token
    held.release()


async def test_two_provisioners_share_the_work_and_each_operation_is_done_once(
    database: Database, tmp_path: Path
) -> None:
    """INVARIANT: two provisioners at once: one operation, one server."""
    async with two_provisioners(database, tmp_path, operation_concurrency=2) as (first, second):
        held = [platform.moments.hold("before ensure_server") for platform in (first, first, second)]
        instances = [await first.deploy() for _ in range(6)]
        for hold in held:  # none has room for all
            await hold.reached.wait()
        for hold in held:
            hold.release()
        for instance in instances:
            await first.done(instance.deployment_id)
            told = await first.told(instance.id)
            assert (told.count("operation.started.v1"), told.count("server.created.v1")) == (1, 1)
        assert len(first.provider.created) == 6
        assert len(await first.live_keys()) == 6


async def test_a_provider_is_never_asked_for_more_at_once_than_allowed(database: Database, tmp_path: Path) -> None:
    """INVARIANT: concurrency per provider is a rule of the database, shared by all runners."""
    async with two_provisioners(database, tmp_path, provider_concurrency=2) as (first, second):
        instances = [await first.deploy() for _ in range(6)]
        most = 0
        async with asyncio.timeout(40):
            while True:
                rows = await first.rows(
                    "SELECT count(*) FILTER (WHERE lease_until >= clock_timestamp() AND finished_at IS NULL), "
                    "count(*) FILTER (WHERE finished_at IS NULL) FROM operations"
                )
                most = max(most, rows[0][0])
                if rows[0][1] == 0:
                    break
                await asyncio.sleep(0.01)
        assert most == 2
        for instance in instances:
            await second.done(instance.deployment_id)


async def test_an_account_with_many_operations_does_not_keep_others_waiting(database: Database, tmp_path: Path) -> None:
    """INVARIANT: claims are fair across accounts."""
    async with provisioner(database, tmp_path, provider_concurrency=2) as platform:
        greedy = new_id()
        many = [await platform.deploy(account_id=greedy) for _ in range(5)]
        modest = await platform.deploy()
        for instance in [*many, modest]:
            await platform.done(instance.deployment_id)
        rows = await platform.rows("SELECT account_id FROM operations ORDER BY finished_at")
        assert [row.account_id for row in rows].index(modest.account_id) <= 3


async def test_a_runner_that_is_asked_to_stop_hands_over_at_once(database: Database, tmp_path: Path) -> None:
    """INVARIANT: a graceful stop costs nobody a lease, though a call was under way."""
    openrouter = openrouter_in(tmp_path)
    async with provisioner(
        database, tmp_path, openrouter=openrouter, operation_lease_seconds=300, leaves_servers=True
    ) as first:
        held = first.moments.hold("before ensure_server")
        instance: Instance = await first.deploy()
        await held.reached.wait()
    async with provisioner(database, tmp_path, openrouter=openrouter, operation_lease_seconds=300) as second:
        row = await second.ended(instance.deployment_id, seconds=60)
        assert (row.state, row.lease_token) == ("succeeded", 2)
        assert len(second.provider.created) == 1


async def test_an_operation_goes_on_at_the_step_where_it_was(database: Database, tmp_path: Path) -> None:
    """INVARIANT: nothing is marked failed because a process restarted, and no step that was done is done again."""
    openrouter = openrouter_in(tmp_path)
    async with provisioner(database, tmp_path, openrouter=openrouter, leaves_servers=True) as first:
        held = first.moments.hold("before start")
        instance = await first.deploy()
        await held.reached.wait()
    async with provisioner(database, tmp_path, openrouter=openrouter) as second:
        await second.done(instance.deployment_id)
        assert "before ensure_server" not in second.moments.seen
        assert "before write_configuration" not in second.moments.seen

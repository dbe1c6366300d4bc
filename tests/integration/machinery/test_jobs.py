"""Jobs: work outside the database, at least once, after the commit."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from tests.integration.machinery.machine import Machine, eventually
from tests.integration.machinery.records import envelope

from clawdeploy_common import jobs
from clawdeploy_common.errors import PermanentError, TemporaryError
from clawdeploy_common.jobs import Job, JobHandler, JobRunner


async def add(machine: Machine, *keys: str, then: Callable[[], object] = lambda: None) -> None:
    async with machine.database.transaction() as unit:
        for key in keys:
            await unit.jobs.add("mail", dedupe_key=key, payload={"to": key})
        then()


def runner(machine: Machine, handler: JobHandler) -> JobRunner:
    return JobRunner(machine.database.owner, {"mail": handler}, wakeup=machine.database.jobs_added, poll_seconds=0.05)


async def unfinished(machine: Machine) -> int:
    return await machine.scalar("SELECT count(*) FROM jobs WHERE finished_at IS NULL")


async def test_a_job_runs_after_its_commit_and_once_per_key(producer: Machine) -> None:
    """INVARIANT: a job exists when its transaction committed; the same key is never queued twice."""
    done: list[str] = []

    async def send(job: Job) -> None:
        done.append(job.payload["to"])

    async def finished() -> bool:
        return await unfinished(producer) == 0 and len(done) >= 2

    with pytest.raises(ZeroDivisionError):
        await add(producer, "rolled back", then=lambda: 1 // 0)
    async with producer.running(runner(producer, send).run, runner(producer, send).run):
        await add(producer, "a", "b", "a")
        await add(producer, "b")
        await eventually(finished)
        await add(producer, "a")
        await asyncio.sleep(0.2)
    assert sorted(done) == ["a", "b"]


async def test_a_failing_job_is_tried_again_later(producer: Machine) -> None:
    """INVARIANT: a temporary failure postpones with back-off, a permanent one ends the job and keeps its error."""
    attempts: dict[str, int] = {"soon": 0, "never": 0}

    async def send(job: Job) -> None:
        attempts[job.payload["to"]] += 1
        if job.payload["to"] == "never":
            raise PermanentError("no such mailbox")
        if job.attempts < 3:
            raise TemporaryError("busy", retry_after=0.05)

    async def finished() -> bool:
        return await unfinished(producer) == 0

    await add(producer, "soon", "never")
    async with producer.running(runner(producer, send).run):
        await eventually(finished)
    assert attempts == {"soon": 3, "never": 1}
    assert await producer.scalar("SELECT last_error FROM jobs WHERE dedupe_key = 'never'") == "no such mailbox"


async def test_a_lost_lease_cannot_mark_the_job(producer: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """INVARIANT: a runner that was paused past its lease marks nothing; the job runs again, and that run's outcome counts."""
    monkeypatch.setattr(jobs, "LEASE", timedelta(seconds=2))
    slow = runner(producer, lambda _: asyncio.sleep(0))
    await add(producer, "a")
    claimed = await slow._claim()  # pyright: ignore[reportPrivateUsage]
    assert claimed is not None
    assert await slow._claim() is None  # pyright: ignore[reportPrivateUsage]
    await asyncio.sleep(2.1)
    again = await slow._claim()  # pyright: ignore[reportPrivateUsage]
    assert again is not None
    assert again.lease_token == claimed.lease_token + 1
    monkeypatch.setattr(jobs, "LEASE", timedelta(minutes=2))
    await slow._do(claimed)  # pyright: ignore[reportPrivateUsage]
    assert await unfinished(producer) == 1
    await slow._do(again)  # pyright: ignore[reportPrivateUsage]
    assert await unfinished(producer) == 0


async def test_feed_positions_are_gapless_per_account(producer: Machine) -> None:
    """INVARIANT: under concurrent writers each account's feed counts 1, 2, 3 …, and a reader that goes on after the last
    position it saw misses nothing."""
    accounts = [uuid4() for _ in range(3)]
    seen: dict[object, list[int]] = {account: [] for account in accounts}
    stop = asyncio.Event()

    async def write(number: int) -> None:
        for step in range(10):
            async with producer.database.transaction() as unit:
                for offset in range(1 + (number + step) % 4):
                    account = accounts[(number * 7 + step + offset) % 3]
                    unit.feed.add(envelope(uuid4(), 1, account_id=account), account_id=account, internal=False)

    async def read() -> None:
        while not stop.is_set():
            for account in accounts:
                after = seen[account][-1] if seen[account] else 0
                rows = await producer.rows(
                    "SELECT position FROM account_feed WHERE account_id = :a AND position > :p ORDER BY position",
                    a=account,
                    p=after,
                )
                seen[account] += [row.position for row in rows]

    reader = asyncio.create_task(read())
    await asyncio.gather(*(write(number) for number in range(20)))
    await asyncio.sleep(0.1)
    stop.set()
    await reader
    for account in accounts:
        total = await producer.scalar("SELECT position FROM account_feed_positions WHERE account_id = :a", a=account)
        assert seen[account] == list(range(1, total + 1))

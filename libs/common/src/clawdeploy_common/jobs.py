"""Durable jobs: work that must happen after a commit and reaches outside (law 4: handlers do no outside I/O).

A job is a row; it is claimed with a lease, done, and marked in a transaction that still holds the lease. Delivery is at least once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import DateTime, Text, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from clawdeploy_common.clock import utc_now
from clawdeploy_common.errors import PermanentError, TemporaryError
from clawdeploy_common.ids import new_id
from clawdeploy_common.pool import Pool
from clawdeploy_common.session import Session
from clawdeploy_common.wakeup import Wakeup

log = structlog.get_logger()

LEASE = timedelta(minutes=2)
_TIME = DateTime(timezone=True)
_ADD = text(
    """
    INSERT INTO jobs (id, kind, dedupe_key, payload, run_at) VALUES (:id, :kind, :dedupe_key, :payload, :run_at)
    ON CONFLICT (kind, dedupe_key) DO NOTHING
    """
).bindparams(bindparam("id", type_=Uuid), bindparam("payload", type_=JSONB), bindparam("run_at", type_=_TIME))
_CLAIM = text(
    """
    UPDATE jobs SET lease_token = lease_token + 1, lease_until = clock_timestamp() + CAST(:lease AS interval), attempts = attempts + 1
    WHERE id = (SELECT id FROM jobs
                WHERE finished_at IS NULL AND run_at <= clock_timestamp() AND (lease_until IS NULL OR lease_until < clock_timestamp())
                  AND kind = ANY(:kinds)
                ORDER BY run_at LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING id, kind, payload, attempts, lease_token
    """
)
_FINISH = text(
    "UPDATE jobs SET finished_at = clock_timestamp(), last_error = :error, lease_until = NULL WHERE id = :id AND lease_token = :token"
).bindparams(bindparam("error", type_=Text))
_RETRY = text(
    """
    UPDATE jobs SET run_at = clock_timestamp() + CAST(:delay AS interval), last_error = :error, lease_until = NULL
    WHERE id = :id AND lease_token = :token
    """
)


@dataclass(frozen=True, slots=True)
class Job:
    """One claimed job; ``attempts`` counts this one."""

    id: UUID
    kind: str
    payload: dict[str, Any]
    attempts: int
    lease_token: int


JobHandler = Callable[[Job], Awaitable[None]]


class JobQueue:
    """Jobs added within one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.added = False

    async def add(self, kind: str, *, dedupe_key: str, payload: dict[str, Any], run_at: datetime | None = None) -> None:
        """Add a job unless one of this kind and key was ever added."""
        values = {
            "id": new_id(),
            "kind": kind,
            "dedupe_key": dedupe_key,
            "payload": payload,
            "run_at": run_at or utc_now(),
        }
        await self._session.execute(_ADD, values)
        self.added = True


class JobRunner:
    """Claims due jobs one by one and runs their handlers.

    TemporaryError (and any unexpected exception) retries with back-off from ``retry_after`` up to ten minutes; PermanentError ends
    the job with its error kept.
    """

    def __init__(
        self, pool: Pool, handlers: dict[str, JobHandler], *, wakeup: Wakeup, poll_seconds: float = 1.0
    ) -> None:
        self._pool = pool
        self._handlers = handlers
        self._wakeup = wakeup
        self._poll_seconds = poll_seconds

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            job = await self._claim()
            if job is None:
                await self._wakeup.wait(self._poll_seconds)
                continue
            await self._do(job)

    async def _claim(self) -> Job | None:
        async with self._pool.transaction() as connection:
            row = (await connection.execute(_CLAIM, {"lease": LEASE, "kinds": list(self._handlers)})).one_or_none()
        return Job(row.id, row.kind, row.payload, row.attempts, row.lease_token) if row else None

    async def _do(self, job: Job) -> None:
        try:
            async with asyncio.timeout(LEASE.total_seconds() - 10):
                await self._handlers[job.kind](job)
        except PermanentError as error:
            log.exception("job.failed", kind=job.kind, job_id=str(job.id))
            await self._mark(_FINISH, job, error=str(error))
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the job stays and is tried again
            delay = retry_delay(job.attempts, error)
            log.warning(
                "job.retried",
                kind=job.kind,
                job_id=str(job.id),
                attempts=job.attempts,
                delay_s=delay.total_seconds(),
                error=str(error),
            )
            await self._mark(_RETRY, job, error=str(error), delay=delay)
        else:
            await self._mark(_FINISH, job, error=None)

    async def _mark(self, statement: Any, job: Job, **values: object) -> None:
        async with self._pool.transaction() as connection:
            await connection.execute(statement, {"id": job.id, "token": job.lease_token, **values})


def retry_delay(attempts: int, error: BaseException) -> timedelta:
    """How long to wait before the next attempt: doubles from the error's ``retry_after`` (or 1 s) up to ten minutes."""
    base = error.retry_after if isinstance(error, TemporaryError) else 1.0
    return timedelta(seconds=min(600.0, base * 2 ** min(attempts - 1, 10)))

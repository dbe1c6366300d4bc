"""The runner: claims due operations, and drives each in a task of its own while its lease is kept."""

import asyncio
import time
from typing import Any

import structlog

from clawdeploy_common.database import Database
from clawdeploy_common.supervision import end
from clawdeploy_common.wakeup import Wakeup
from clawdeploy_events.deployments import DeploymentPlan
from clawdeploy_events.lifecycle import OperationKind
from clawdeploy_provisioner.metrics import OPERATIONS_RUNNING
from clawdeploy_provisioner.operations import leases, store
from clawdeploy_provisioner.operations.context import Lease, LeaseLost
from clawdeploy_provisioner.operations.drive import Drive
from clawdeploy_provisioner.operations.endings import fenced
from clawdeploy_provisioner.operations.facts import OperationFacts
from clawdeploy_provisioner.operations.steps import Steps
from clawdeploy_provisioner.settings import ProvisionerSettings

log = structlog.get_logger()

POLL_S = 0.5
RETRY_S = 2.0
CLAIMED_AT_ONCE = 8
"""So that of several runners none takes all there is."""
_MINUTES_FROM_S = 120


class Runner:
    """Any number of runners share the work; the database decides who has which operation."""

    def __init__(self, database: Database, settings: ProvisionerSettings, steps: Steps, *, wakeup: Wakeup) -> None:
        self._database = database
        self._settings = settings
        self._steps = steps
        self._wakeup = wakeup
        self._tasks: dict[asyncio.Task[None], Lease] = {}
        OPERATIONS_RUNNING.set_function(self._tasks.__len__)

    async def run(self) -> None:
        """Claim and drive until cancelled; then let go of the leases, so that a successor goes on at once."""
        keeper = asyncio.create_task(leases.keep(self._database, self._settings, self._tasks))
        try:
            while True:
                if len(self._tasks) >= self._settings.operation_concurrency or not await self._claimed():
                    await self._wakeup.wait(POLL_S)
        finally:
            await end(list(self._tasks))
            await end([keeper])

    async def _claimed(self) -> bool:
        """Whether there was something to claim; an outage of the database interrupts claiming, not what is under way."""
        before, lease_s = time.monotonic(), self._settings.operation_lease_seconds
        most = min(CLAIMED_AT_ONCE, self._settings.operation_concurrency - len(self._tasks))
        try:
            async with self._database.transaction() as unit:
                rows = await store.claim(
                    unit.session, lease_s=lease_s, per_provider=self._settings.provider_concurrency, most=most
                )
            for row in rows:
                self._begin(row, Lease(operation_id=row.id, token=row.lease_token, expires=before + lease_s))
        except Exception as error:  # noqa: BLE001 - whatever it is, the next round tries again
            log.warning("operation.not_claimed", error=f"{type(error).__name__}: {error}")
            return False
        return bool(rows)

    def _begin(self, row: Any, lease: Lease) -> None:
        if row.cancel_requested_at is not None:
            lease.cancel_requested.set()
        task = asyncio.create_task(self._drive(row, lease))
        self._tasks[task] = lease
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        self._wakeup.set()

    async def _work(self, row: Any, lease: Lease) -> None:
        await Drive(self._database, self._steps, _facts(row), lease).run(row.state)

    async def _drive(self, row: Any, lease: Lease) -> None:
        work = asyncio.create_task(self._work(row, lease))
        over = asyncio.create_task(lease.over.wait())
        try:
            await asyncio.wait({work, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended = work.done()
            await end([work, over])
            if not ended:
                await self._let_go(lease)
        await self._conclude(lease, work)

    async def _conclude(self, lease: Lease, work: asyncio.Task[None]) -> None:
        """Give back what ended with an error: the database is away, or there is a bug; the operation stays and is claimed again."""
        error = None if work.cancelled() else work.exception()
        if isinstance(error, LeaseLost):
            log.warning("operation.lease_lost", operation_id=str(lease.operation_id))
        elif error is not None:
            log.warning(
                "operation.interrupted",
                operation_id=str(lease.operation_id),
                error=f"{type(error).__name__}: {error}",
                exc_info=error,
            )
            await self._release(lease, RETRY_S)

    async def _let_go(self, lease: Lease) -> None:
        """Hand over at once; an operation whose patience is over turns round, whatever it was waiting for."""
        seconds = self._settings.stalled_after_seconds
        patience = f"{seconds // 60} minutes" if seconds >= _MINUTES_FROM_S else f"{seconds} seconds"
        await self._release(lease, 0.0, reason=f"There was no progress for {patience}." if lease.stalled else None)

    async def _release(self, lease: Lease, delay: float, *, reason: str | None = None) -> None:
        try:
            async with asyncio.timeout(3), fenced(self._database, lease.operation_id, lease.token) as unit:
                if reason is not None:
                    await store.compensate(unit.session, lease.operation_id, error=reason, step=None)
                await store.release(unit.session, lease.operation_id, lease.token, delay_s=delay)
        except Exception as error:  # noqa: BLE001 - then the lease simply runs out
            log.info("operation.not_released", operation_id=str(lease.operation_id), error=type(error).__name__)


def _facts(row: Any) -> OperationFacts:
    return OperationFacts(
        id=row.id,
        instance_id=row.instance_id,
        account_id=row.account_id,
        kind=OperationKind(row.kind),
        requested_by=row.requested_by,
        parameters=row.parameters,
        deployment=DeploymentPlan.model_validate(row.deployment),
        traceparent=row.traceparent,
    )

"""The runner: claims due operations, drives each in a task of its own, and keeps its lease while it does."""

import asyncio
import math
import time
from typing import Any

import structlog

from clawdeploy_common.database import Database
from clawdeploy_common.supervision import end
from clawdeploy_common.wakeup import Wakeup
from clawdeploy_events.deployments import DeploymentPlan
from clawdeploy_events.lifecycle import OperationKind
from clawdeploy_provisioner.metrics import OPERATIONS_RUNNING
from clawdeploy_provisioner.operations import store
from clawdeploy_provisioner.operations.context import Lease, LeaseLost
from clawdeploy_provisioner.operations.drive import Drive
from clawdeploy_provisioner.operations.endings import fenced
from clawdeploy_provisioner.operations.facts import OperationFacts
from clawdeploy_provisioner.operations.steps import Steps
from clawdeploy_provisioner.settings import ProvisionerSettings

log = structlog.get_logger()

POLL_S = 0.5
RETRY_S = 2.0
_MINUTES_FROM_S = 120


class Runner:
    """Any number of runners share the work; the database decides who has which operation."""

    def __init__(self, database: Database, settings: ProvisionerSettings, steps: Steps, *, wakeup: Wakeup) -> None:
        self._database = database
        self._settings = settings
        self._steps = steps
        self._wakeup = wakeup
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Claim and drive until cancelled; then let go of the leases, so that a successor goes on at once."""
        try:
            while True:
                if len(self._tasks) >= self._settings.operation_concurrency or not await self._try_to_claim():
                    await self._wakeup.wait(POLL_S)
        finally:
            await end(list(self._tasks))

    async def _try_to_claim(self) -> bool:
        """An outage of the database interrupts claiming, not what is under way."""
        try:
            return await self._claim()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next round tries again
            log.warning("operation.not_claimed", error=f"{type(error).__name__}: {error}")
            return False

    async def _claim(self) -> bool:
        before = time.monotonic()
        lease_s = self._settings.operation_lease_seconds
        async with self._database.transaction() as unit:
            row = await store.claim(unit.session, lease_s=lease_s, per_provider=self._settings.provider_concurrency)
            if row is None:
                return False
            facts = await _facts(unit.session, row)
        lease = Lease(operation_id=row.id, token=row.lease_token, expires=before + lease_s)
        if row.cancel_requested_at is not None:
            lease.cancel_requested.set()
        task = asyncio.create_task(self._drive(facts, lease, row.state))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        OPERATIONS_RUNNING.set(len(self._tasks))
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        OPERATIONS_RUNNING.set(len(self._tasks))
        self._wakeup.set()

    async def _drive(self, facts: OperationFacts, lease: Lease, state: str) -> None:
        work = asyncio.create_task(Drive(self._database, self._steps, facts, lease).run(state))
        keeper = asyncio.create_task(self._keep(lease))
        try:
            await asyncio.wait({work, keeper}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended = work.done()
            await end([work, keeper])
            if not ended:
                await self._let_go(lease)
        await self._conclude(facts, lease, work)

    async def _conclude(self, facts: OperationFacts, lease: Lease, work: asyncio.Task[None]) -> None:
        """Give back what ended with an error: the database is away, or there is a bug; the operation stays and is claimed again."""
        error = None if work.cancelled() else work.exception()
        if isinstance(error, LeaseLost):
            log.warning("operation.lease_lost", operation_id=str(facts.id))
        elif error is not None:
            log.warning(
                "operation.interrupted",
                operation_id=str(facts.id),
                error=f"{type(error).__name__}: {error}",
                exc_info=error,
            )
            await self._release(lease, RETRY_S)

    async def _let_go(self, lease: Lease) -> None:
        """Hand over at once; an operation whose patience is over turns round, whatever it was waiting for."""
        reason = None
        if lease.stalled:
            seconds = self._settings.stalled_after_seconds
            patience = f"{seconds // 60} minutes" if seconds >= _MINUTES_FROM_S else f"{seconds} seconds"
            reason = f"There was no progress for {patience}."
        await self._release(lease, 0.0, reason=reason)

    async def _release(self, lease: Lease, delay: float, *, reason: str | None = None) -> None:
        try:
            async with asyncio.timeout(3), fenced(self._database, lease.operation_id, lease.token) as unit:
                if reason is not None:
                    await store.compensate(unit.session, lease.operation_id, error=reason, step=None)
                await store.release(unit.session, lease.operation_id, lease.token, delay_s=delay)
        except Exception as error:  # noqa: BLE001 - then the lease simply runs out
            log.info("operation.not_released", operation_id=str(lease.operation_id), error=type(error).__name__)

    async def _keep(self, lease: Lease) -> None:
        """Renew the lease, notice a cancellation, charge the time; returns when the work must end.

        Only time under the lease is charged: a runner that was paused was not patient.
        """
        charged = time.monotonic()
        while True:
            await asyncio.sleep(min(self._settings.operation_lease_seconds / 3, 1.0))
            before = time.monotonic()
            elapsed = int(before - charged)
            charged += elapsed
            try:
                row = await self._renew(lease, min(elapsed, math.ceil(self._settings.operation_lease_seconds)))
            except Exception as error:  # noqa: BLE001 - the database is away: hold on as long as the lease lasts
                log.info("lease.not_renewed", operation_id=str(lease.operation_id), error=type(error).__name__)
                if lease.remaining() <= 0:
                    return
                continue
            if row is None:
                return
            lease.expires = max(lease.expires, before + self._settings.operation_lease_seconds)
            if row.cancel_requested_at is not None:
                lease.cancel_requested.set()
            if row.stalled_seconds >= self._settings.stalled_after_seconds:
                lease.stalled = True
                if row.state == "running":
                    return

    async def _renew(self, lease: Lease, elapsed: int) -> Any:
        lease_s = self._settings.operation_lease_seconds
        async with asyncio.timeout(5), self._database.transaction() as unit:
            return await store.renew(unit.session, lease.operation_id, lease.token, lease_s=lease_s, elapsed_s=elapsed)


async def _facts(session: Any, row: Any) -> OperationFacts:
    instance = await store.instance_of(session, row.instance_id)
    return OperationFacts(
        id=row.id,
        instance_id=row.instance_id,
        account_id=row.account_id,
        kind=OperationKind(row.kind),
        requested_by=row.requested_by,
        parameters=row.parameters,
        deployment=DeploymentPlan.model_validate(instance.deployment),
        traceparent=row.traceparent,
    )

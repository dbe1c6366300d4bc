"""Driving one claimed operation: step by step forwards, or backwards when it failed or was cancelled."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import zip_longest
from typing import Any

import structlog

from clawdeploy_common import tracing
from clawdeploy_common.database import Database
from clawdeploy_common.errors import ClawDeployError, PermanentError, TemporaryError
from clawdeploy_common.outages import is_outage
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.lifecycle import OperationKind
from clawdeploy_provisioner.metrics import OPERATIONS_ENDED, STEP_SECONDS, STEPS
from clawdeploy_provisioner.operations import endings, store
from clawdeploy_provisioner.operations.context import CancelRequested, Lease, LeaseLost, Record, StepContext
from clawdeploy_provisioner.operations.facts import OperationFacts
from clawdeploy_provisioner.operations.steps import Steps, Verb

log = structlog.get_logger()

MAX_BACKOFF_S = 30.0
DONE = {"done", "skipped", "compensated"}


class Drive:
    """One runner's work on one operation, from its claim until it ends or the lease is lost."""

    def __init__(self, database: Database, steps: Steps, operation: OperationFacts, lease: Lease) -> None:
        self._database = database
        self._steps = steps
        self._operation = operation
        self._lease = lease
        self._log = log.bind(
            operation_id=str(operation.id), kind=operation.kind, instance_id=str(operation.instance_id)
        )
        self._begun: int | None = None

    async def run(self, state: str) -> None:
        """Go on where the operation was; ``state`` is running or compensating."""
        with tracing.continued(self._operation.traceparent):
            if state == "compensating" or not await self._went_well():
                await self._backwards()

    async def _went_well(self) -> bool:
        try:
            await self._forwards()
        except CancelRequested:
            async with self._fenced() as unit:
                await store.compensate(unit.session, self._operation.id, error=None, step=None)
            return False
        except PermanentError:
            return False
        return True

    async def _forwards(self) -> None:
        rows = [row for row in await self._rows() if row.state not in DONE]
        for row, following in zip_longest(rows, rows[1:]):
            await self._attempt_until_done(row, self._steps[row.name].ensure, undoing=False, following=following)
        async with self._fenced() as unit:
            if await endings.succeed(unit, self._operation):
                OPERATIONS_ENDED.labels(self._operation.kind, "succeeded").inc()
                self._log.info("operation.succeeded")
                return
        raise CancelRequested

    async def _backwards(self) -> None:
        async with self._database.transaction() as unit:
            replaced = await endings.waiting_kind(unit, self._operation.instance_id) is OperationKind.DESTROY
        for row in reversed(await self._rows()):
            undo = self._steps[row.name].undo
            if row.state in {"pending", "compensated", "skipped"} or undo is None or replaced:
                continue
            await self._attempt_until_done(row, undo, undoing=True)
        async with self._fenced() as unit:
            state = await endings.end_unsuccessfully(unit, self._operation)
        OPERATIONS_ENDED.labels(self._operation.kind, state).inc()
        self._log.info("operation.ended")

    async def _attempt_until_done(self, row: Any, verb: Verb, *, undoing: bool, following: Any = None) -> None:
        """Try a step until it succeeds; a temporary failure waits, the operation's patience ends it.

        What cannot be undone is left and told: an operation always ends (a server or a key is owed as a debt before).
        """
        attempt = row.attempts
        while True:
            attempt += 1
            context = StepContext(
                self._database, self._operation, self._lease, position=row.position, step=row.name, undoing=undoing
            )
            try:
                with self._span(row, attempt, undoing=undoing):
                    return await self._attempt(row, context, verb, undoing=undoing, following=following)
            except (LeaseLost, CancelRequested):
                raise
            except PermanentError as error:
                await self._fail_step(row, context, error)
                if not undoing:
                    raise
                return None
            except Exception as error:
                if is_outage(error) and not isinstance(error, TimeoutError | ConnectionError):
                    raise
                if undoing and self._lease.stalled:
                    self._lease.stalled = False
                    return await self._fail_step(row, context, error)
                await self._pause(row, context, attempt, error)

    async def _attempt(self, row: Any, context: StepContext, verb: Verb, *, undoing: bool, following: Any) -> None:
        started = asyncio.get_running_loop().time()
        if not undoing and self._begun != row.position:
            await self._begin(row)
        self._begun = None
        record = await verb(context)
        await self._end(row, record, state="compensated" if undoing else "done", following=following)
        STEPS.labels(row.name, "compensated" if undoing else "done").inc()
        STEP_SECONDS.labels(row.name).observe(asyncio.get_running_loop().time() - started)

    async def _begin(self, row: Any) -> None:
        async with self._fenced() as unit:
            if not await self._began(unit, row):
                raise CancelRequested

    async def _began(self, unit: UnitOfWork, row: Any) -> bool:
        """Whether the step may begin: no cancellation was asked for."""
        attempt = await store.begin_step(unit.session, self._operation.id, row.position)
        if attempt is not None:
            changed = store.step_changed(self._operation, row.name, "running", attempt=attempt)
            endings.emit(unit, self._operation, changed)
        return attempt is not None

    async def _end(self, row: Any, record: Record | None, *, state: str, following: Any) -> None:
        """In one transaction the step ends and the following one begins."""
        async with self._fenced() as unit:
            if record is not None:
                await record(unit)
            await store.end_step(unit.session, self._operation.id, row.position, state=state)
            endings.emit(unit, self._operation, store.step_changed(self._operation, row.name, state))
            if following is not None and await self._began(unit, following):
                self._begun = following.position

    async def _fail_step(self, row: Any, context: StepContext, error: Exception) -> None:
        """Forwards, a failed step turns the operation round; backwards, it is passed over."""
        message = context.redactor.redact(str(error))[:2000]
        lines = [context.redactor.redact(line) for line in getattr(error, "last_lines", [])]
        state = "skipped" if context.undoing else "failed"
        STEPS.labels(row.name, state).inc()
        self._log.warning("step.failed", step=row.name, undoing=context.undoing, error=message)
        async with self._fenced() as unit:
            await store.write_output(unit.session, self._operation, step=row.name, lines=[*lines, message])
            await store.end_step(unit.session, self._operation.id, row.position, state=state, message=message)
            endings.emit(unit, self._operation, store.step_changed(self._operation, row.name, state, message=message))
            await store.compensate(unit.session, self._operation.id, error=message, step=row.name)

    async def _pause(self, row: Any, context: StepContext, attempt: int, error: Exception) -> None:
        """After a temporary failure: say so, wait, and let the runner end an operation that makes no progress."""
        delay = backoff(attempt, error)
        STEPS.labels(row.name, "retried").inc()
        reason = context.redactor.redact(f"{type(error).__name__}: {error}")
        self._log.warning("step.retried", step=row.name, attempt=attempt, delay_s=delay, error=reason)
        await context.say(f"{describe(error)} Trying again in {delay:.0f} s.")
        await context.sleep(delay)

    async def _rows(self) -> Sequence[Any]:
        async with self._database.owner.autocommit() as session:
            return await store.steps(session, self._operation.id)

    def _span(self, row: Any, attempt: int, *, undoing: bool) -> AbstractContextManager[None]:
        return tracing.span(
            f"{'undo' if undoing else 'step'} {row.name}",
            clawdeploy__operation=str(self._operation.id),
            clawdeploy__operation__kind=self._operation.kind,
            clawdeploy__instance=str(self._operation.instance_id),
            clawdeploy__attempt=attempt,
        )

    def _fenced(self) -> Any:
        return endings.fenced(self._database, self._operation.id, self._lease.token)


def backoff(attempt: int, error: Exception) -> float:
    """Seconds to wait after a failed attempt: doubling, and never less than we were asked to wait."""
    asked = error.retry_after if isinstance(error, TemporaryError) else 1.0
    return max(asked, min(MAX_BACKOFF_S, asked * 2 ** min(attempt - 1, 5)))


def describe(error: Exception) -> str:
    """A temporary failure as a sentence for people."""
    if isinstance(error, TimeoutError):
        return "The call was not answered in time."
    if isinstance(error, ClawDeployError):
        return str(error).rstrip(".") + "."
    return "Something failed unexpectedly."

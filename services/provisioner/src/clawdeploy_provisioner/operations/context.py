"""What a step may do: fenced transactions, announced outside calls, patience that heeds cancellation."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from clawdeploy_common.database import Database
from clawdeploy_common.errors import PermanentError
from clawdeploy_common.events import Event
from clawdeploy_common.redaction import Redactor
from clawdeploy_common.work import UnitOfWork
from clawdeploy_provisioner.operations import store
from clawdeploy_provisioner.operations.facts import OperationFacts


class LeaseLost(Exception):
    """Another runner has this operation now; whatever this one wanted to commit is void."""


class CancelRequested(Exception):
    """Somebody asked for the operation's end; raised between steps and inside long ones."""


Record = Callable[[UnitOfWork], Awaitable[None]]
"""What a step has to say once it is done; runs in the transaction that marks the step."""


@dataclass
class Lease:
    """A runner's hold on an operation; ``expires`` is monotonic time, never later than the database's.

    ``over`` says that work on it must end, ``stalled`` that the operation's patience is; until ``charged`` it has paid for its time.
    """

    operation_id: UUID
    token: int
    expires: float
    cancel_requested: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    stalled: bool = False
    charged: float = field(default_factory=time.monotonic)

    def remaining(self) -> float:
        """Seconds this runner may still act."""
        return self.expires - time.monotonic()


class StepContext:
    """One attempt at one step; ``undoing`` while compensating, when a cancellation no longer matters."""

    def __init__(
        self, database: Database, operation: OperationFacts, lease: Lease, *, position: int, step: str, undoing: bool
    ) -> None:
        self.operation = operation
        self.step = step
        self.undoing = undoing
        self.redactor = Redactor()
        self._database = database
        self._lease = lease
        self._position = position

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[UnitOfWork]:
        """A transaction that commits only while the lease is held; raises LeaseLost otherwise."""
        async with self._database.transaction() as unit:
            if not await store.hold(unit.session, self._lease.operation_id, self._lease.token):
                raise LeaseLost
            yield unit

    def emit(self, unit: UnitOfWork, event: Event) -> None:
        """Add an event of this operation to its instance's stream."""
        operation = self.operation
        unit.outbox.add(event, key=operation.instance_id, account_id=operation.account_id, correlation_id=operation.id)

    @asynccontextmanager
    async def call(self, seconds: float) -> AsyncGenerator[None]:
        """Around an outside mutation: its deadline is committed first, and the lease outlives it.

        The call is cut off at its deadline (TimeoutError); a successor waits for that deadline before it judges.
        """
        async with self.transaction() as unit:
            before = time.monotonic()
            await store.announce_call(unit.session, self._lease.operation_id, self._position, seconds=seconds)
        self._lease.expires = max(self._lease.expires, before + seconds + store.CALL_MARGIN_S)
        if self._lease.remaining() <= seconds:
            raise LeaseLost
        try:
            async with asyncio.timeout(seconds):
                yield
        except Exception as error:
            async with self.transaction() as unit:
                refused = isinstance(error, PermanentError)
                await store.cut_off(unit.session, self._lease.operation_id, self._position, refused=refused)
            raise

    async def settle(self, lag: timedelta = timedelta()) -> None:
        """Wait until no earlier call about the instance, whoever made it, can take effect unseen: its deadline plus the lag."""
        async with self.transaction() as unit:
            seconds = await store.unsettled(unit.session, self.operation.instance_id)
        if seconds is not None and seconds + lag.total_seconds() > 0:
            await self.sleep(seconds + lag.total_seconds())

    async def sleep(self, seconds: float) -> None:
        """Wait; raises CancelRequested at once when the operation is to end."""
        if self.undoing:
            await asyncio.sleep(seconds)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._lease.cancel_requested.wait()
        except TimeoutError:
            return
        raise CancelRequested

    async def say(self, message: str) -> None:
        """Tell people how far the step is; shown live and kept with its output."""
        line = self.redactor.redact(message)
        async with self.transaction() as unit:
            await store.write_output(unit.session, self.operation, step=self.step, lines=[line])
            self.emit(unit, store.step_changed(self.operation, self.step, "running", message=line))

    async def write(self, lines: list[str]) -> None:
        """Keep lines with the step's output without announcing them."""
        async with self.transaction() as unit:
            cleaned = [self.redactor.redact(line) for line in lines]
            await store.write_output(unit.session, self.operation, step=self.step, lines=cleaned)

    async def moved(self) -> None:
        """The provider shows progress: the patience with this operation starts anew."""
        async with self.transaction() as unit:
            await store.reset_patience(unit.session, self._lease.operation_id)

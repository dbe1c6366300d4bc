"""How operations end, and what the end sets off: events, the instance's state, the promotion of the waiting one."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import text

from clawdeploy_common.database import Database
from clawdeploy_common.events import Event
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.lifecycle import (
    DeploymentCancelled,
    DeploymentFailed,
    DeploymentSucceeded,
    OperationCancelled,
    OperationCompleted,
    OperationFailed,
    OperationKind,
)
from clawdeploy_provisioner.operations import intake, store
from clawdeploy_provisioner.operations.context import LeaseLost
from clawdeploy_provisioner.operations.facts import OperationFacts
from clawdeploy_provisioner.operations.plans import DEPLOYMENTS

_ROW = text("SELECT error, error_step FROM operations WHERE id = :id")
_SERVER = text(
    "SELECT id, host, port FROM servers WHERE instance_id = :id AND destroyed_at IS NULL AND abandoned_at IS NULL"
)
_WAITING_KIND = text("SELECT kind FROM operations WHERE instance_id = :id AND state = 'queued'")


@asynccontextmanager
async def fenced(database: Database, operation_id: UUID, token: int) -> AsyncGenerator[UnitOfWork]:
    """A transaction that commits only under the current lease; raises LeaseLost otherwise."""
    async with database.transaction() as unit:
        if not await store.hold(unit.session, operation_id, token):
            raise LeaseLost
        yield unit


def emit(unit: UnitOfWork, operation: OperationFacts, event: Event) -> None:
    """Add an event of the operation to its instance's stream."""
    unit.outbox.add(event, key=operation.instance_id, account_id=operation.account_id, correlation_id=operation.id)


async def succeed(unit: UnitOfWork, operation: OperationFacts) -> bool:
    """End with success, unless its cancellation was asked for (False)."""
    if not await store.finish(unit.session, operation.id, state="succeeded"):
        return False
    if operation.kind in DEPLOYMENTS:
        server = (await unit.session.execute(_SERVER, {"id": operation.instance_id})).one()
        endpoint = None if server.port is None else f"http://{server.host}:{server.port}"
        emit(unit, operation, DeploymentSucceeded(operation_id=operation.id, server_id=server.id, endpoint=endpoint))
    emit(unit, operation, OperationCompleted(operation_id=operation.id, kind=operation.kind))
    await intake.promote(unit, operation.instance_id)
    return True


async def end_unsuccessfully(unit: UnitOfWork, operation: OperationFacts) -> str:
    """End after compensation: failed when something went wrong, cancelled when somebody asked; returns which."""
    row = (await unit.session.execute(_ROW, {"id": operation.id})).one()
    state = "cancelled" if row.error is None else "failed"
    await store.finish(unit.session, operation.id, state=state)
    for event in _ending(operation, row):
        emit(unit, operation, event)
    await intake.promote(unit, operation.instance_id)
    return state


def _ending(operation: OperationFacts, row: Any) -> list[Event]:
    is_deployment = operation.kind in DEPLOYMENTS
    if row.error is None:
        cancelled: list[Event] = [DeploymentCancelled(operation_id=operation.id)] if is_deployment else []
        return [
            *cancelled,
            OperationCancelled(operation_id=operation.id, kind=operation.kind, reason="Cancelled on request."),
        ]
    facts: dict[str, Any] = {"operation_id": operation.id, "reason": row.error, "step": row.error_step}
    failed: list[Event] = [DeploymentFailed(**facts)] if is_deployment else []
    return [*failed, OperationFailed(kind=operation.kind, **facts)]


async def waiting_kind(unit: UnitOfWork, instance_id: UUID) -> OperationKind | None:
    """The kind of the operation that waits for this instance, if any."""
    kind = await unit.session.scalar(_WAITING_KIND, {"id": instance_id})
    return OperationKind(kind) if kind else None

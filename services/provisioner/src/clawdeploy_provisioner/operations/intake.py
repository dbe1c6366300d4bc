"""Requests in: one operation per instance is active, at most one waits, and the newest desired state wins."""

from typing import Any
from uuid import UUID

from sqlalchemy import Text, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from clawdeploy_common.tracing import current_traceparent
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.deployments import DeploymentPlan
from clawdeploy_events.lifecycle import (
    DeploymentCancelled,
    DeploymentCancelRejected,
    OperationCancelled,
    OperationKind,
    OperationStarted,
)
from clawdeploy_provisioner.operations.plans import DEPLOYMENTS, INTERRUPTING, planned, steps_of

_LOCK_INSTANCE = text("SELECT * FROM instances WHERE id = :id FOR UPDATE")
_CURRENT = text(
    "SELECT * FROM operations WHERE instance_id = :id AND state IN ('running', 'compensating', 'queued') ORDER BY created_at FOR UPDATE"
)
_ADD = text(
    """
    INSERT INTO operations (id, instance_id, account_id, provider, kind, state, requested_by, parameters, traceparent, run_at)
    VALUES (:id, :instance_id, :account_id, :provider, :kind, :state, :requested_by, :parameters, :traceparent, clock_timestamp())
    """
).bindparams(bindparam("parameters", type_=JSONB), bindparam("traceparent", type_=Text))
_ACTIVATE = text(
    """
    WITH activated AS (
        UPDATE operations SET state = 'running', started_at = clock_timestamp(), run_at = clock_timestamp() WHERE id = :id
    )
    INSERT INTO operation_steps (operation_id, position, name)
    SELECT :id, s.position, s.name FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS s(name, position)
    """
)
_CANCEL = text(
    "UPDATE operations SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp()) WHERE id = :id"
)
_DROP = text(
    "UPDATE operations SET state = 'cancelled', finished_at = clock_timestamp(), error = :reason WHERE id = :id"
).bindparams(bindparam("reason", type_=Text))
_SET_DEPLOYMENT = text("UPDATE instances SET deployment = :deployment WHERE id = :id").bindparams(
    bindparam("deployment", type_=JSONB)
)
_HAS_AGENT = text(  # on its server: it applies a configuration and rolls it back by itself
    """
    SELECT 1 FROM server_agents a JOIN servers s ON s.id = a.id
    WHERE s.instance_id = :id AND s.destroyed_at IS NULL AND s.abandoned_at IS NULL AND a.revoked_at IS NULL
    """
)
_WAITING = text("SELECT * FROM operations WHERE instance_id = :id AND state = 'queued' FOR UPDATE")


async def request(
    uow: UnitOfWork,
    *,
    operation_id: UUID,
    kind: OperationKind,
    requested_by: str,
    parameters: dict[str, Any] | None = None,
) -> None:
    """Accept an operation asked for by the event being reacted to; begins at once when none is active."""
    instance = await lock_instance(uow, uow.cause.key)
    if instance is None:
        return
    current = (await uow.session.execute(_CURRENT, {"id": instance.id})).all()
    active = next((row for row in current if row.state != "queued"), None)
    refusal = _refusal(instance, current, kind)
    if refusal is None:
        await _give_way(uow, instance, current, active, kind)
    row = {
        "id": operation_id,
        "instance_id": instance.id,
        "account_id": instance.account_id,
        "provider": (parameters or {}).get("deployment", instance.deployment)["provider"],
        "kind": kind,
        "state": "queued" if refusal is None else "cancelled",
        "requested_by": requested_by,
        "parameters": parameters or {},
        "traceparent": current_traceparent() or uow.cause.traceparent,
    }
    await uow.session.execute(_ADD, row)
    if refusal is not None:
        await drop(uow, operation_id, kind, instance, reason=refusal)
    elif active is None:
        await activate(uow, operation_id, kind, instance, parameters or {})


def _refusal(instance: Any, current: Any, kind: OperationKind) -> str | None:
    """Why a request comes too late: nothing follows a destroy but another one."""
    if instance.destroyed_at is not None:
        return "The instance was destroyed before."
    if kind is not OperationKind.DESTROY and any(row.kind == OperationKind.DESTROY for row in current):
        return "The instance is being destroyed."
    return None


async def _give_way(uow: UnitOfWork, instance: Any, current: Any, active: Any, kind: OperationKind) -> None:
    """What a newer wish does to the older ones: it replaces the waiting one; destroy and suspend cancel the active one."""
    for row in current:
        if row.state == "queued":
            await drop(uow, row.id, OperationKind(row.kind), instance, reason="A newer request took its place.")
    if active is not None and kind in INTERRUPTING and OperationKind(active.kind) is not OperationKind.DESTROY:
        await uow.session.execute(_CANCEL, {"id": active.id})


async def cancel(uow: UnitOfWork, *, operation_id: UUID) -> None:
    """Cancel an operation: a waiting one at once, an active one between its steps; an ended one is past that.

    A destroy and a suspend are not a person's to take back.
    """
    instance = await lock_instance(uow, uow.cause.key)
    if instance is None:
        return
    rows = (await uow.session.execute(_CURRENT, {"id": instance.id})).all()
    row = next((r for r in rows if r.id == operation_id), None)
    if row is None or OperationKind(row.kind) in INTERRUPTING:
        reason = "It had ended already." if row is None else f"A {row.kind} cannot be cancelled."
        event = DeploymentCancelRejected(operation_id=operation_id, reason=reason)
        uow.outbox.add(event, key=instance.id, account_id=instance.account_id, correlation_id=operation_id)
    elif row.state == "queued":
        await drop(uow, row.id, OperationKind(row.kind), instance, reason="Cancelled before it began.")
    else:
        await uow.session.execute(_CANCEL, {"id": row.id})


async def activate(
    uow: UnitOfWork, operation_id: UUID, kind: OperationKind, instance: Any, parameters: dict[str, Any]
) -> None:
    """Make a queued operation the active one: its steps are fixed and announced; a redeploy's plan becomes the instance's."""
    deployment = DeploymentPlan.model_validate(parameters.get("deployment", instance.deployment))
    if "deployment" in parameters:
        await uow.session.execute(_SET_DEPLOYMENT, {"id": instance.id, "deployment": parameters["deployment"]})
    restarts = (
        kind is OperationKind.APPLY_CONFIG
        and instance.wanted == "running"
        and await uow.session.scalar(_HAS_AGENT, {"id": instance.id}) is None
    )
    names = steps_of(
        kind,
        llm_key=deployment.llm_key,
        restarts=restarts,
        in_place=bool(parameters.get("in_place")),
        keep_state=bool(parameters.get("keep_state")),
    )
    await uow.session.execute(_ACTIVATE, {"id": operation_id, "names": list(names)})
    event = OperationStarted(operation_id=operation_id, kind=kind, steps=planned(names))
    uow.outbox.add(event, key=instance.id, account_id=instance.account_id, correlation_id=operation_id)


async def promote(uow: UnitOfWork, instance_id: UUID) -> bool:
    """Begin the waiting operation of an instance whose active one just ended."""
    instance = await lock_instance(uow, instance_id)
    waiting = (await uow.session.execute(_WAITING, {"id": instance_id})).one_or_none()
    if instance is None or waiting is None:
        return False
    if instance.destroyed_at is not None:
        await drop(uow, waiting.id, OperationKind(waiting.kind), instance, reason="The instance was destroyed.")
        return False
    await activate(uow, waiting.id, OperationKind(waiting.kind), instance, waiting.parameters)
    return True


async def drop(uow: UnitOfWork, operation_id: UUID, kind: OperationKind, instance: Any, *, reason: str) -> None:
    """End an operation that never began."""
    await uow.session.execute(_DROP, {"id": operation_id, "reason": reason})
    events: list[Any] = [OperationCancelled(operation_id=operation_id, kind=kind, reason=reason)]
    if kind in DEPLOYMENTS:
        events.append(DeploymentCancelled(operation_id=operation_id))
    for event in events:
        uow.outbox.add(event, key=instance.id, account_id=instance.account_id, correlation_id=operation_id)


async def lock_instance(uow: UnitOfWork, instance_id: UUID) -> Any | None:
    """The instance's row, locked: requests and endings of one instance come one after another."""
    return (await uow.session.execute(_LOCK_INSTANCE, {"id": instance_id})).one_or_none()

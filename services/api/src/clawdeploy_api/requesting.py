"""Asking for operations: the request's row and its event, in one transaction."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Uuid, bindparam, text

from clawdeploy_api import catalogue, sealed_secrets
from clawdeploy_api.actions import DESIRED, Action, Kind
from clawdeploy_api.configurations import content_hash, plugins_of
from clawdeploy_api.context import Context
from clawdeploy_api.deployments import plan_of
from clawdeploy_api.errors import NotCancellable, OperationNotFound
from clawdeploy_api.public.instance import FRESH, Redeployment
from clawdeploy_common.events import Event
from clawdeploy_common.ids import new_id
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.deployments import (
    ConfigPublished,
    DeploymentCancelRequested,
    InstanceDestroyRequested,
    InstancePauseRequested,
    InstanceRedeployRequested,
    InstanceRestartRequested,
    InstanceResumeRequested,
    InstanceStartRequested,
    InstanceStopRequested,
    SecretReference,
)

DEPLOYMENTS = ("deploy", "redeploy")
_TIME = DateTime(timezone=True)
_REQUEST = text(
    """
    INSERT INTO operation_requests (id, account_id, instance_id, kind, requested_by, requested_at)
    VALUES (:id, :account, :instance, :kind, 'person', :now)
    """
).bindparams(bindparam("id", type_=Uuid), bindparam("now", type_=_TIME))
_DESIRE = text(
    """
    UPDATE instances SET desired_status = :desired, updated_at = :now,
           destroy_requested_at = CASE WHEN :desired = 'deleted' THEN coalesce(destroy_requested_at, :now) END
    WHERE id = :instance AND account_id = :account
    """
).bindparams(bindparam("now", type_=_TIME))
_CANCEL = text(
    """
    SELECT r.instance_id, r.kind, r.cancel_requested_at, coalesce(p.state, 'queued') AS state
    FROM operation_requests r LEFT JOIN operations p ON p.id = r.id
    WHERE r.id = :id AND r.account_id = :account FOR UPDATE OF r
    """
)
_MARK_CANCELLED = text("UPDATE operation_requests SET cancel_requested_at = :now WHERE id = :id").bindparams(
    bindparam("now", type_=_TIME)
)

_SIMPLE: dict[str, Callable[..., Event]] = {
    "start": InstanceStartRequested,
    "stop": InstanceStopRequested,
    "restart": InstanceRestartRequested,
    "pause": InstancePauseRequested,
    "resume": InstanceResumeRequested,
}


async def request(
    uow: UnitOfWork, context: Context, row: Any, *, action: Action, kind: Kind, how: Redeployment = FRESH
) -> UUID:
    """Ask for an operation on an instance whose row is locked; returns the operation's id."""
    operation_id = await _record(uow, context, row.id, kind)
    await uow.session.execute(
        _DESIRE, {"instance": row.id, "account": context.account_id, "desired": DESIRED[action], "now": context.now}
    )
    event = await _event(uow, context, row, kind=kind, operation_id=operation_id, how=how)
    uow.outbox.add(event, key=row.id, account_id=context.account_id, correlation_id=operation_id)
    return operation_id


async def publish(
    uow: UnitOfWork, context: Context, row: Any, *, version: int, config: dict[str, Any], secrets: list[SecretReference]
) -> UUID:
    """Ask for a configuration version to be applied."""
    operation_id = await _record(uow, context, row.id, "apply_config")
    event = ConfigPublished(
        operation_id=operation_id,
        version=version,
        content_hash=content_hash(config),
        model=catalogue.find_model(row.model).openrouter_id,
        channel=row.channel,
        plugins=plugins_of(config),
        secrets=secrets,
    )
    uow.outbox.add(event, key=row.id, account_id=context.account_id, correlation_id=operation_id)
    return operation_id


async def cancel(uow: UnitOfWork, context: Context, operation_id: UUID) -> bool:
    """Ask for a deployment's end; returns whether this was the first time, asking again changes nothing.

    Raises OperationNotFound, NotCancellable.
    """
    row = (await uow.session.execute(_CANCEL, {"id": operation_id, "account": context.account_id})).one_or_none()
    if row is None:
        raise OperationNotFound(operation_id)
    if row.cancel_requested_at is not None:
        return False
    if row.kind not in DEPLOYMENTS:
        raise NotCancellable(f"a {row.kind} takes its course; only deployments can be cancelled")
    if row.state not in ("queued", "running"):
        raise NotCancellable(f"it is {row.state}")
    await uow.session.execute(_MARK_CANCELLED, {"id": operation_id, "now": context.now})
    event = DeploymentCancelRequested(operation_id=operation_id)
    uow.outbox.add(event, key=row.instance_id, account_id=context.account_id, correlation_id=operation_id)
    return True


async def _record(uow: UnitOfWork, context: Context, instance_id: UUID, kind: str) -> UUID:
    operation_id = new_id()
    values = {"id": operation_id, "account": context.account_id, "instance": instance_id, "kind": kind}
    await uow.session.execute(_REQUEST, {**values, "now": context.now})
    return operation_id


async def _event(
    uow: UnitOfWork, context: Context, row: Any, *, kind: Kind, operation_id: UUID, how: Redeployment
) -> Event:
    if kind == "destroy":
        return InstanceDestroyRequested(operation_id=operation_id, requested_at=context.now)
    if kind != "redeploy":
        return _SIMPLE[kind](operation_id=operation_id)
    secrets = (await sealed_secrets.versions(uow, context.account_id, row.id)).references
    plan = plan_of(
        row,
        operation_id=operation_id,
        config=row.config or {},
        secrets=secrets,
        price_version=context.price_version,
    )
    return InstanceRedeployRequested(operation_id=operation_id, deployment=plan, **how.model_dump())

"""Lifecycle and health in, read models out: what operations, servers and agents do becomes what people see."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import DateTime, bindparam, text

from clawdeploy_api import instance_views, operation_views
from clawdeploy_api.actions import OUTCOME
from clawdeploy_api.instance_views import base, state
from clawdeploy_api.projecting import projectors
from clawdeploy_common.handlers import Received
from clawdeploy_common.work import Projection
from clawdeploy_events.health import InstanceHealthChanged
from clawdeploy_events.lifecycle import (
    ConfigApplied,
    DeploymentCancelled,
    DeploymentFailed,
    DeploymentSucceeded,
    InstanceDestroyed,
    InstanceStarted,
    InstanceStopped,
    OperationCancelled,
    OperationCompleted,
    OperationFailed,
    OperationStarted,
    OperationStepChanged,
    SealingKeyAnnounced,
    ServerCreated,
    ServerDestroyed,
    ServerStateChanged,
    StepState,
)

_UNFINISHED = (StepState.PENDING, StepState.RUNNING)
_BROKEN_BY = ("start", "restart", "resume", "unsuspend", "destroy")
_AT_REST = {"paused": "paused", "suspended": "suspended"}
_ANNOUNCED = text(
    """
    INSERT INTO sealing_keys (id, public_key, announced_at) VALUES (:id, :public_key, :at)
    ON CONFLICT (id) DO UPDATE SET public_key = excluded.public_key
    """
).bindparams(bindparam("at", type_=DateTime(timezone=True)))


def _row(received: Received[Any], **values: Any) -> dict[str, Any]:
    return {**base(received.envelope.key, received.envelope.account_id), **values}


def _at(received: Received[Any], name: str, **values: Any) -> dict[str, Any]:
    envelope = received.envelope
    return _row(received, **state(name, version=envelope.version, at=envelope.time), **values)


@projectors.on(OperationStarted)
async def operation_started(events: Sequence[Received[OperationStarted]], projection: Projection) -> None:
    """Show an operation as running, with the steps it will take."""
    rows = [{"id": e.event.operation_id, "account_id": e.envelope.account_id, "at": e.envelope.time} for e in events]
    steps = [
        {"id": row["id"], "account_id": row["account_id"], "position": number, "name": step.name, "title": step.title}
        for row, e in zip(rows, events, strict=True)
        for number, step in enumerate(e.event.steps)
    ]
    await operation_views.started(projection.session, rows, steps)


@projectors.on(OperationStepChanged)
async def step_changed(events: Sequence[Received[OperationStepChanged]], projection: Projection) -> None:
    """Show how far a step is."""
    rows = [
        {
            "id": e.event.operation_id,
            "account_id": e.envelope.account_id,
            "name": e.event.step,
            "state": e.event.state,
            "message": e.event.message,
            "at": e.event.changed_at,
            "finished_at": None if e.event.state in _UNFINISHED else e.event.changed_at,
        }
        for e in events
    ]
    await operation_views.step_changed(projection.session, rows)


@projectors.on(OperationCompleted)
async def operation_completed(events: Sequence[Received[OperationCompleted]], projection: Projection) -> None:
    """Show an operation as succeeded, and its instance as what it was for."""
    await operation_views.ended(projection.session, [_ended(e, "succeeded", None) for e in events])
    settled = [e for e in events if OUTCOME.get(e.event.kind, "deleted") != "deleted"]
    await instance_views.settled(projection.session, [_at(e, OUTCOME[e.event.kind]) for e in settled])


@projectors.on(OperationFailed)
async def operation_failed(events: Sequence[Received[OperationFailed]], projection: Projection) -> None:
    """Show why an operation failed; a failed start leaves an instance in error."""
    await operation_views.ended(projection.session, [_ended(e, "failed", e.event.reason) for e in events])
    broken = [e for e in events if e.event.kind in _BROKEN_BY]
    await instance_views.failed(projection.session, [_at(e, "error", reason=e.event.reason) for e in broken])


@projectors.on(OperationCancelled)
async def operation_cancelled(events: Sequence[Received[OperationCancelled]], projection: Projection) -> None:
    """Show an operation as cancelled."""
    await operation_views.ended(projection.session, [_ended(e, "cancelled", e.event.reason) for e in events])


def _ended(
    e: Received[OperationCompleted] | Received[OperationFailed] | Received[OperationCancelled],
    name: str,
    error: str | None,
) -> dict[str, Any]:
    envelope, operation_id = e.envelope, e.event.operation_id
    return {"id": operation_id, "account_id": envelope.account_id, "state": name, "error": error, "at": envelope.time}


@projectors.on(DeploymentSucceeded)
async def deployment_succeeded(events: Sequence[Received[DeploymentSucceeded]], projection: Projection) -> None:
    """Show an instance as running, with its endpoint."""
    rows = [
        _at(
            e,
            "running",
            server_id=e.event.server_id,
            endpoint=e.event.endpoint,
            deployed_at=e.envelope.time,
            server_state="running",
        )
        for e in events
    ]
    await instance_views.deployed(projection.session, rows)


@projectors.on(DeploymentFailed)
async def deployment_failed(events: Sequence[Received[DeploymentFailed]], projection: Projection) -> None:
    """Show why an instance could not be deployed."""
    await instance_views.failed(projection.session, [_at(e, "error", reason=e.event.reason) for e in events])


@projectors.on(DeploymentCancelled)
async def deployment_cancelled(events: Sequence[Received[DeploymentCancelled]], projection: Projection) -> None:
    """Show that an instance has nothing, because its deployment was cancelled."""
    rows = [_at(e, "error", reason="The deployment was cancelled.") for e in events]
    await instance_views.cancelled(projection.session, rows)


@projectors.on(ServerCreated)
async def server_created(events: Sequence[Received[ServerCreated]], projection: Projection) -> None:
    """Note the server of an instance."""
    rows = [
        _row(
            e,
            state_version=e.envelope.version,
            state_at=e.event.accepted_at,
            server_id=e.event.server_id,
            provider_ref=e.event.provider_ref,
            server_state="creating",
        )
        for e in events
    ]
    await instance_views.server_created(projection.session, rows)


@projectors.on(ServerDestroyed)
async def server_destroyed(events: Sequence[Received[ServerDestroyed]], projection: Projection) -> None:
    """Forget the server of an instance, but for how long it is paid."""
    rows = [
        _row(
            e,
            state_version=e.envelope.version,
            gone=e.event.server_id,
            server_paid_until=e.event.paid_until,
        )
        for e in events
    ]
    await instance_views.server_destroyed(projection.session, rows)


@projectors.on(ServerStateChanged)
async def server_state_changed(events: Sequence[Received[ServerStateChanged]], projection: Projection) -> None:
    """Note what the inventory saw."""
    rows = [
        _row(
            e,
            state_version=e.envelope.version,
            state_at=e.event.observed_at,
            server_state=e.event.state,
            server_detail=e.event.detail,
            server=e.event.server_id,
        )
        for e in events
    ]
    await instance_views.server_changed(projection.session, rows)


@projectors.on(InstanceStarted)
async def instance_started(events: Sequence[Received[InstanceStarted]], projection: Projection) -> None:
    """Show an instance as running from the moment its process is up."""
    rows = [
        _row(
            e,
            **state("running", version=e.envelope.version, at=e.event.started_at),
            server_id=e.event.server_id,
            server_state="running",
            endpoint=e.event.endpoint,
        )
        for e in events
    ]
    await instance_views.started(projection.session, rows)


@projectors.on(InstanceStopped)
async def instance_stopped(events: Sequence[Received[InstanceStopped]], projection: Projection) -> None:
    """Show an instance as stopped, paused or suspended."""
    rows = [
        _row(
            e,
            **state(_AT_REST.get(e.event.reason, "stopped"), version=e.envelope.version, at=e.event.stopped_at),
            server_state="off",
            reason=None if e.event.reason in ("stopped", "paused", "suspended") else e.event.reason,
        )
        for e in events
    ]
    await instance_views.stopped(projection.session, rows)


@projectors.on(InstanceDestroyed)
async def instance_destroyed(events: Sequence[Received[InstanceDestroyed]], projection: Projection) -> None:
    """Show that nothing of an instance is left."""
    await instance_views.destroyed(projection.session, [_at(e, "destroyed") for e in events])


@projectors.on(ConfigApplied)
async def config_applied(events: Sequence[Received[ConfigApplied]], projection: Projection) -> None:
    """Note which configuration version is live."""
    rows = [_row(e, applied_config=e.event.version) for e in events]
    await instance_views.config_applied(projection.session, rows)


@projectors.on(SealingKeyAnnounced)
async def sealing_key_announced(events: Sequence[Received[SealingKeyAnnounced]], projection: Projection) -> None:
    """Seal to this key from now on."""
    rows = [{"id": e.envelope.key, "public_key": e.event.public_key, "at": e.envelope.time} for e in events]
    await projection.session.execute(_ANNOUNCED, rows)


@projectors.on(InstanceHealthChanged)
async def health_changed(events: Sequence[Received[InstanceHealthChanged]], projection: Projection) -> None:
    """Note what monitor saw, with the lifecycle version it knew."""
    rows = [
        _row(
            e,
            process=e.event.process,
            channel=e.event.channel,
            health_detail=e.event.detail,
            health_at=e.event.observed_at,
            health_lifecycle_version=e.event.lifecycle_version,
        )
        for e in events
    ]
    await instance_views.health_changed(projection.session, rows)

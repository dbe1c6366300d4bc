"""Events in: what the provisioner does to instances decides what the monitor expects of them."""

from sqlalchemy import text

from clawdeploy_common.events import SOURCE_PREFIX, Envelope
from clawdeploy_common.handlers import Reactors
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.lifecycle import (
    DeploymentCancelled,
    DeploymentFailed,
    InstanceDestroyed,
    InstanceStarted,
    InstanceStopped,
    OperationCancelled,
    OperationCompleted,
    OperationFailed,
    OperationStarted,
    ServerDestroyed,
    ServerState,
    ServerStateChanged,
)
from clawdeploy_monitor import watches
from clawdeploy_monitor.watches import ServerSeen

reactors = Reactors()

_LIFECYCLE = f"{SOURCE_PREFIX}provisioner"
_KNOW = text(
    "UPDATE watches SET lifecycle_version = :version WHERE instance_id = :key AND lifecycle_version < :version"
)


@reactors.on_every
async def know_version(envelope: Envelope, uow: UnitOfWork) -> None:
    """Note the newest lifecycle version: a probe that began before it is worth nothing any more."""
    if envelope.source == _LIFECYCLE:
        await uow.session.execute(_KNOW, {"key": envelope.key, "version": envelope.version})


@reactors.on(OperationStarted)
async def pause_watching(event: OperationStarted, uow: UnitOfWork) -> None:
    """An operation began: what changes now was asked for."""
    async with watches.watched(uow) as watch:
        watches.operation_started(watch, event.operation_id)


@reactors.on(OperationCompleted)
async def resume_after_success(event: OperationCompleted, uow: UnitOfWork) -> None:
    """An operation ended well: watch again."""
    async with watches.watched(uow) as watch:
        watches.operation_ended(uow, watch, event.operation_id)


@reactors.on(OperationFailed)
async def resume_after_failure(event: OperationFailed, uow: UnitOfWork) -> None:
    """An operation failed: watch again what is left."""
    async with watches.watched(uow) as watch:
        watches.operation_ended(uow, watch, event.operation_id)


@reactors.on(OperationCancelled)
async def resume_after_cancellation(event: OperationCancelled, uow: UnitOfWork) -> None:
    """An operation was cancelled: watch again what is left."""
    async with watches.watched(uow) as watch:
        watches.operation_ended(uow, watch, event.operation_id)


@reactors.on(DeploymentFailed)
async def forget_failed(event: DeploymentFailed, uow: UnitOfWork) -> None:
    """A deployment failed and undid itself: nothing is expected to be there."""
    async with watches.watched(uow) as watch:
        watches.undeployed(uow, watch, event.operation_id, detail="the deployment failed")


@reactors.on(DeploymentCancelled)
async def forget_cancelled(event: DeploymentCancelled, uow: UnitOfWork) -> None:
    """A deployment was cancelled and undid itself: nothing is expected to be there."""
    async with watches.watched(uow) as watch:
        watches.undeployed(uow, watch, event.operation_id, detail="the deployment was cancelled")


@reactors.on(InstanceStarted)
async def expect_running(event: InstanceStarted, uow: UnitOfWork) -> None:
    """An instance's process is up: probe it from now on."""
    async with watches.watched(uow) as watch:
        watches.started(uow, watch, event)


@reactors.on(InstanceStopped)
async def expect_stopped(event: InstanceStopped, uow: UnitOfWork) -> None:
    """An instance was stopped on request: its silence is what was asked for."""
    async with watches.watched(uow) as watch:
        watches.stopped(uow, watch, event.server_id, event.stopped_at, event.reason)


@reactors.on(InstanceDestroyed)
async def expect_nothing(event: InstanceDestroyed, uow: UnitOfWork) -> None:
    """An instance is gone for good."""
    async with watches.watched(uow) as watch:
        watches.destroyed(uow, watch, event.destroyed_at)


@reactors.on(ServerStateChanged)
async def judge_server(event: ServerStateChanged, uow: UnitOfWork) -> None:
    """The provider sees a server in another state: gone or broken while it should run is drift."""
    seen = ServerSeen(server_id=event.server_id, state=event.state, at=event.observed_at, detail=event.detail)
    async with watches.watched(uow) as watch:
        watches.server_changed(uow, watch, seen)


@reactors.on(ServerDestroyed)
async def note_deletion(event: ServerDestroyed, uow: UnitOfWork) -> None:
    """The provider confirmed a server's deletion."""
    seen = ServerSeen(server_id=event.server_id, state=ServerState.GONE, at=event.destroyed_at)
    async with watches.watched(uow) as watch:
        watches.server_changed(uow, watch, seen)

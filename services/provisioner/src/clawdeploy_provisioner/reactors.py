"""Requests of the gateway, as they arrive: each becomes an operation."""

from typing import Any

from sqlalchemy import LargeBinary, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from clawdeploy_common.handlers import Reactors
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.deployments import (
    ConfigPublished,
    DeploymentCancelRequested,
    DeploymentPlan,
    DeploymentRequested,
    InstanceDestroyRequested,
    InstancePauseRequested,
    InstanceRedeployRequested,
    InstanceRestartRequested,
    InstanceResumeRequested,
    InstanceStartRequested,
    InstanceStopRequested,
    InstanceSuspendRequested,
    InstanceUnsuspendRequested,
)
from clawdeploy_events.lifecycle import OperationKind
from clawdeploy_provisioner.agents import IDENTITY_PURPOSE
from clawdeploy_provisioner.configuration import new_identity
from clawdeploy_provisioner.operations import intake
from clawdeploy_provisioner.secret_store import SecretStore

_ADD_INSTANCE = text(
    """
    INSERT INTO instances (id, account_id, deployment, identity) VALUES (:id, :account, :deployment, :identity)
    ON CONFLICT (id) DO UPDATE SET deployment = excluded.deployment
    """
).bindparams(bindparam("deployment", type_=JSONB), bindparam("identity", type_=LargeBinary))

_SIMPLE: dict[type[Any], OperationKind] = {
    InstanceStartRequested: OperationKind.START,
    InstanceStopRequested: OperationKind.STOP,
    InstanceRestartRequested: OperationKind.RESTART,
    InstancePauseRequested: OperationKind.PAUSE,
    InstanceResumeRequested: OperationKind.RESUME,
    InstanceSuspendRequested: OperationKind.SUSPEND,
    InstanceUnsuspendRequested: OperationKind.UNSUSPEND,
    InstanceDestroyRequested: OperationKind.DESTROY,
}


def build_reactors(secrets: SecretStore) -> Reactors:
    """The provisioner's reactors."""
    reactors = Reactors()

    @reactors.on(DeploymentRequested)
    async def on_deployment_requested(event: DeploymentRequested, uow: UnitOfWork) -> None:
        """Write the instance down and begin its deployment."""
        instance_id, account_id = uow.cause.key, uow.cause.account_id
        identity = secrets.encrypt(new_identity(instance_id), purpose=IDENTITY_PURPOSE)
        values = {"id": instance_id, "account": account_id, "deployment": _json(event.deployment), "identity": identity}
        await uow.session.execute(_ADD_INSTANCE, values)
        await _request(uow, event.deployment.operation_id, OperationKind.DEPLOY, event.requested_by)

    @reactors.on(InstanceRedeployRequested)
    async def on_redeploy_requested(event: InstanceRedeployRequested, uow: UnitOfWork) -> None:
        """Destroy and create again under the same id, or wipe its server and begin anew there; its plan replaces the old one when it
        begins.
        """
        how = {"in_place": event.in_place, "keep_state": event.keep_state}
        parameters = {"deployment": _json(event.deployment), **how}
        await _request(uow, event.operation_id, OperationKind.REDEPLOY, event.requested_by, parameters)

    @reactors.on(ConfigPublished)
    async def on_config_published(event: ConfigPublished, uow: UnitOfWork) -> None:
        """Apply a published configuration."""
        published = event.model_dump(mode="json", exclude={"operation_id"})
        await _request(uow, event.operation_id, OperationKind.APPLY_CONFIG, "person", {"config": published})

    @reactors.on(DeploymentCancelRequested)
    async def on_cancel_requested(event: DeploymentCancelRequested, uow: UnitOfWork) -> None:
        """Cancel a deployment that has not ended."""
        await intake.cancel(uow, operation_id=event.operation_id)

    for event_class, kind in _SIMPLE.items():
        reactors.on(event_class)(_simple(kind))
    return reactors


def _simple(kind: OperationKind) -> Any:
    async def on_requested(event: Any, uow: UnitOfWork) -> None:
        await _request(uow, event.operation_id, kind, event.requested_by)

    return on_requested


async def _request(
    uow: UnitOfWork, operation_id: Any, kind: OperationKind, requested_by: str, parameters: dict[str, Any] | None = None
) -> None:
    await intake.request(
        uow, operation_id=operation_id, kind=kind, requested_by=str(requested_by), parameters=parameters
    )


def _json(plan: DeploymentPlan) -> dict[str, Any]:
    return plan.model_dump(mode="json")

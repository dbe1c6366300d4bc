"""What the provisioner, monitor and billing say of an instance, in short."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from tests.integration.api.platform import Json, Platform, Tenant, id_of

from clawdeploy_common.clock import utc_now
from clawdeploy_common.events import Event
from clawdeploy_events.health import ChannelHealth, InstanceHealthChanged, ProcessHealth
from clawdeploy_events.lifecycle import (
    DeploymentSucceeded,
    InstanceStarted,
    InstanceStopped,
    OperationCompleted,
    OperationKind,
    OperationStarted,
    OperationStepChanged,
    PlannedStep,
    ServerCreated,
    StepState,
)


class Story:
    """The life of one instance, as told by the other services."""

    def __init__(self, platform: Platform, tenant: Tenant, instance: Json) -> None:
        self.platform = platform
        self.tenant = tenant
        self.id = id_of(instance)
        self.operation = UUID(instance["operation"]["id"])
        self.server = uuid4()

    async def tell(self, *events: Event, at: datetime | None = None) -> None:
        """The gateway hears this."""
        await self.platform.tell(*events, key=self.id, account_id=self.tenant.id, at=at)

    async def now(self) -> Json:
        """The instance as its owner sees it."""
        return await self.tenant.get(f"/v1/instances/{self.id}")

    async def begin(self, kind: str = "deploy", *, operation: UUID | None = None) -> None:
        """An operation begins."""
        steps = [PlannedStep(name="reserve", title="Reserve"), PlannedStep(name="start", title="Start")]
        await self.tell(
            OperationStarted(operation_id=operation or self.operation, kind=OperationKind(kind), steps=steps)
        )

    async def step(self, name: str, state: str, **fields: Any) -> None:
        """A step of the deployment gets on."""
        kind = OperationKind.DEPLOY
        await self.tell(
            OperationStepChanged(
                operation_id=self.operation,
                kind=kind,
                step=name,
                state=StepState(state),
                changed_at=utc_now(),
                **fields,
            )
        )

    async def deployed(self, *, at: datetime | None = None, provider_ref: str = "4711") -> None:
        """The whole of a deployment that works."""
        await self.begin()
        moment = at or utc_now()
        created = ServerCreated(
            server_id=self.server,
            operation_id=self.operation,
            provider="process",
            region="local",
            plan="pro",
            price_version=1,
            provider_ref=provider_ref,
            accepted_at=moment,
        )
        started = InstanceStarted(server_id=self.server, endpoint="http://127.0.0.1:21000", started_at=moment)
        done = DeploymentSucceeded(
            operation_id=self.operation, server_id=self.server, endpoint="http://127.0.0.1:21000"
        )
        completed = OperationCompleted(operation_id=self.operation, kind=OperationKind.DEPLOY)
        await self.tell(created, started, done, completed, at=moment)

    async def stopped(self, operation: UUID) -> None:
        """The whole of a stop."""
        await self.begin("stop", operation=operation)
        completed = OperationCompleted(operation_id=operation, kind=OperationKind.STOP)
        await self.tell(InstanceStopped(server_id=self.server, stopped_at=utc_now()), completed)

    async def applied(self, operation: UUID) -> None:
        """The whole of a change of configuration."""
        await self.begin("apply_config", operation=operation)
        await self.tell(OperationCompleted(operation_id=operation, kind=OperationKind.APPLY_CONFIG))

    @property
    def version(self) -> int:
        """The lifecycle stream's version."""
        return self.platform.versions["/clawdeploy/provisioner", self.id]

    async def observed(
        self, process: str, *, version: int | None = None, channel: str = "unknown", at: datetime | None = None
    ) -> None:
        """Monitor saw another health than before."""
        event = InstanceHealthChanged(
            process=ProcessHealth(process),
            channel=ChannelHealth(channel),
            observed_at=at or utc_now(),
            lifecycle_version=self.version if version is None else version,
        )
        await self.tell(event)


async def story(platform: Platform, tenant: Tenant, **fields: Any) -> Story:
    """A new instance and its story."""
    return Story(platform, tenant, await tenant.create(**fields))

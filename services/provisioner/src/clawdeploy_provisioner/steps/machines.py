"""Steps about the server: reserve, create, reach, install, destroy."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from clawdeploy_common.clock import utc_now
from clawdeploy_common.errors import PermanentError
from clawdeploy_common.ids import new_id
from clawdeploy_common.outages import DATABASE_ERRORS
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.lifecycle import ServerIntended
from clawdeploy_provisioner import debts, servers
from clawdeploy_provisioner.kept_state import holders
from clawdeploy_provisioner.operations.context import CancelRequested, LeaseLost, Record, StepContext
from clawdeploy_provisioner.operations.steps import Step
from clawdeploy_provisioner.providers.protocol import (
    Provider,
    Rented,
    Server,
    ServerSpec,
    ServerState,
)

_LOOK_AGAIN_S, _LOOK_SELDOM_S, _SELDOMER = 0.5, 15.0, 1.2
_MINUTE = timedelta(minutes=1)
_REBUILD_S = 300.0
"""An installation at a cloud is followed to its end, which takes it a minute or two."""


class NoServer(PermanentError):
    """The instance has no server to work on."""

    code = "no-server"
    title = "The instance has no server"

    def __init__(self, instance_id: UUID) -> None:
        super().__init__(f"instance {instance_id} has no server; deploy it first")


class ServerFailed(PermanentError):
    """The provider accepted the server and could not make it."""

    code = "server-failed"
    title = "The provider could not create the server"


class NotRebuildable(PermanentError):
    """There is no wiping a server in place here."""

    code = "not-rebuildable"
    title = "This server cannot be rebuilt in place"

    def __init__(self, provider: str) -> None:
        super().__init__(f"provider {provider} cannot rebuild a server in place; redeploy it on a fresh one")


class MachineSteps:
    """What happens to the server itself, at whichever provider."""

    def __init__(self, providers: Mapping[str, Provider], *, call_s: float) -> None:
        self._providers = providers
        self.call_s = call_s

    def steps(self) -> dict[str, Step]:
        """By name."""
        return {
            "reserve": Step(self.reserve, undo=self.destroy),
            "create_server": Step(self.create),
            "wait_address": Step(self.wait_address),
            "connect": Step(self.connect),
            "install": Step(self.install),
            "destroy_server": Step(self.destroy),
            "rebuild_server": Step(self.rebuild),
        }

    def provider(self, context: StepContext) -> Provider:
        """The provider of this operation's instance."""
        return self._named(context.operation.deployment.provider)

    def _named(self, name: str) -> Provider:
        found = self._providers.get(name)
        if found is None:
            raise PermanentError(
                f"provider {name} is not switched on here; switched on are {', '.join(self._providers)}"
            )
        return found

    async def reserve(self, context: StepContext) -> Record | None:
        """Decide the server's id and commit it before anything is asked for."""
        self.provider(context)
        if await self._row(context) is not None:
            return None
        server_id, plan = new_id(), context.operation.deployment

        async def record(unit: UnitOfWork) -> None:
            await servers.intend(unit, server_id, context.operation)
            event = ServerIntended(
                server_id=server_id, provider=plan.provider, region=plan.region, operation_id=context.operation.id
            )
            context.emit(unit, event)

        return record

    async def create(self, context: StepContext) -> Record:
        """Ask for the server, unless it is there; whoever asks after a lost answer looks first."""
        provider, row = self.provider(context), await self.server_row(context)
        await context.settle(provider.visibility_lag)
        async with context.call(self.call_s):
            server = await provider.ensure_server(_spec(context, row.id))

        async def record(unit: UnitOfWork) -> None:
            context.emit(unit, await servers.accepted(unit, row, server))

        return record

    async def wait_address(self, context: StepContext) -> Record:
        """Look, less and less often, until the provider names an address; while it may take its time to deliver, that alone is progress."""
        provider, row = self.provider(context), await self.server_row(context)
        known, delivered_until = row.state, row.accepted_at + provider.delivery_patience
        pause = _LOOK_AGAIN_S
        if provider.delivery_patience:
            await context.say(f"It was ordered; its delivery may take {provider.delivery_patience // _MINUTE} minutes")
        while True:
            server = await provider.observe(row.id)
            if server is not None and server.located is not None:
                return lambda unit: servers.seen(unit, server)
            _require_sound(server)
            if server is not None and (server.state != known or utc_now() < delivered_until):
                known = server.state
                await context.moved()
            await context.sleep(pause)
            pause = min(pause * _SELDOMER, _LOOK_SELDOM_S)

    async def connect(self, context: StepContext) -> None:
        """Wait until the server can be worked on, telling how far it is."""
        provider, row = self.provider(context), await self.server_row(context)
        told: str | None = None
        while (server := await provider.observe(row.id)) is None or not server.reachable:
            _require_sound(server)
            if server is not None and server.progress not in (None, told):
                told = server.progress
                await context.say(str(told))
                await context.moved()
            await context.sleep(_LOOK_AGAIN_S)

    async def install(self, context: StepContext) -> None:
        """Put OpenClaw on it."""
        plan, row = context.operation.deployment, await self.server_row(context)
        token_names = {reference.name for reference in plan.secrets}
        channels = [plan.channel] if "bot_token" in token_names else []
        await self.provider(context).ensure_installed(row.id, context.say, channels=channels)

    async def rebuild(self, context: StepContext) -> None:
        """Have the server it has wiped; what follows is as on a new one."""
        provider, row = self.provider(context), await self.server_row(context)
        if not isinstance(provider, Rented) or row.provider != provider.name:
            raise NotRebuildable(row.provider)
        await context.settle(provider.visibility_lag)
        await self._leave(context, row.id)
        async with context.call(_REBUILD_S):
            await provider.rebuild(_spec(context, row.id), context.say)

    async def destroy(self, context: StepContext) -> Record | None:
        """Remove the server and have the provider it is at confirm it, or owe it."""
        row = await self._row(context)
        if row is None:
            return None
        try:
            provider = self._named(row.provider)
            await context.settle(provider.visibility_lag)
            row = await self._acknowledged(context, provider, row)
            await self._leave(context, row.id)
            async with context.call(self.call_s):
                bill = await debts.destroy_confirmed(provider, row)
        except (LeaseLost, CancelRequested, *DATABASE_ERRORS):
            raise
        except Exception as error:  # noqa: BLE001 - whatever the provider says, the server is not forgotten
            return _owed(row, context.redactor.redact(f"{type(error).__name__}: {error}"))
        facts = context.operation
        return lambda unit: debts.server_destroyed(
            unit,
            row.id,
            row.provider,
            bill=bill,
            instance_id=facts.instance_id,
            account_id=facts.account_id,
            operation_id=facts.id,
        )

    async def _acknowledged(self, context: StepContext, provider: Provider, row: Any) -> Any:
        """The row, after it says that the server was accepted, if it was: then it is paid for, though its answer was lost."""
        found = await debts.found_unrecorded(provider, row)
        if found is None:
            return row
        async with context.transaction() as unit:
            context.emit(unit, await servers.accepted(unit, row, found))
        return await self.server_row(context)

    async def _leave(self, context: StepContext, server_id: UUID) -> None:
        async with context.transaction() as unit:
            await holders.left(unit, server_id)

    async def server_row(self, context: StepContext) -> Any:
        """The instance's server; raises NoServer."""
        row = await self._row(context)
        if row is None:
            raise NoServer(context.operation.instance_id)
        return row

    async def _row(self, context: StepContext) -> Any | None:
        async with context.transaction() as unit:
            return await servers.live(unit, context.operation.instance_id)


def _require_sound(server: Server | None) -> None:
    """A server that the provider failed to make will never be reached."""
    if server is not None and server.state is ServerState.ERROR:
        raise ServerFailed(server.detail or "the provider could not create the server")


def _spec(context: StepContext, server_id: UUID) -> ServerSpec:
    operation, plan = context.operation, context.operation.deployment
    return ServerSpec(
        server_id=server_id,
        instance_id=operation.instance_id,
        account_id=operation.account_id,
        operation_id=operation.id,
        slug=plan.slug,
        region=plan.region,
        memory_mb=plan.memory_mb,
        cpu_millis=plan.cpu_millis,
    )


def _owed(row: Any, reason: str) -> Record:
    async def record(unit: UnitOfWork) -> None:
        reference = row.provider_ref or str(row.id)
        await debts.owe(unit, row, resource="server", provider=row.provider, provider_ref=reference, reason=reason)
        await servers.abandon(unit, row.id)

    return record

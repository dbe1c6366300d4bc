"""Steps about the agent on the server: configure, start, wait, verify, stop, forget."""

import asyncio
from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from clawdeploy_common.clock import utc_now
from clawdeploy_common.errors import PermanentError
from clawdeploy_common.redaction import Redactor
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.lifecycle import (
    ConfigApplied,
    ConfigRejected,
    InstanceDestroyed,
    InstanceStarted,
    InstanceStopped,
    OperationKind,
)
from clawdeploy_provisioner import llm_keys, servers
from clawdeploy_provisioner.agents import Agents
from clawdeploy_provisioner.configuration import OWN_LLM_KEY, Choice, bundle_of, choice_of, variable_of
from clawdeploy_provisioner.kept_state import holders
from clawdeploy_provisioner.openclaw.channels import Channel
from clawdeploy_provisioner.openclaw.config import LLM_KEY_VARIABLE
from clawdeploy_provisioner.openclaw.gateway import GatewayBusy
from clawdeploy_provisioner.operations.context import Record, StepContext
from clawdeploy_provisioner.operations.plans import DEPLOYMENTS
from clawdeploy_provisioner.operations.steps import Step
from clawdeploy_provisioner.providers.protocol import (
    Bundle,
    ConfigurationRejected,
    ExitedBeforeReady,
    Server,
    require_alive,
)
from clawdeploy_provisioner.secret_store import Owner, SecretStore
from clawdeploy_provisioner.steps.machines import MachineSteps
from clawdeploy_provisioner.steps.patience import StartPatience

_LAST_LINES = 20
_LOOK_AGAIN_S = 0.3
_DRAIN_S = 30.0
_REASONS = {OperationKind.PAUSE: "paused", OperationKind.SUSPEND: "suspended", OperationKind.STOP: "stopped"}
_DRAINING = {OperationKind.RESTART, OperationKind.APPLY_CONFIG}

_WANTED = text("UPDATE instances SET wanted = :wanted WHERE id = :id")
_APPLIED = text(
    "UPDATE instances SET applied_config = :config, deployment = deployment || CAST(:config AS jsonb) WHERE id = :id"
).bindparams(bindparam("config", type_=JSONB))
_GONE = text("UPDATE instances SET wanted = 'gone', destroyed_at = :at, applied_config = NULL WHERE id = :id")


class AgentSteps:
    """What happens to OpenClaw itself."""

    def __init__(
        self,
        machines: MachineSteps,
        agents: Agents,
        secrets: SecretStore,
        *,
        llm_base_url: str,
        origin: str,
        start_s: float,
        check_s: float,
    ) -> None:
        self._machines = machines
        self._agents = agents
        self._secrets = secrets
        self._llm_base_url = llm_base_url
        self._origin = origin
        self._start_s = start_s
        self._check_s = check_s

    def steps(self) -> dict[str, Step]:
        """By name."""
        return {
            "write_configuration": Step(self.write_configuration),
            "start": Step(self.start, undo=self.stop),
            "wait_started": Step(self.wait_started),
            "verify": Step(self.verify),
            "publish_endpoint": Step(self.publish_endpoint),
            "stop": Step(self.stop),
            "forget_secrets": Step(self.forget),
        }

    async def write_configuration(self, context: StepContext) -> Record:
        """Have OpenClaw check the configuration, then put it in place with the secrets it names."""
        operation, choice = context.operation, choice_of(context.operation)
        row = await self._machines.server_row(context)
        owner = Owner(instance_id=operation.instance_id, account_id=operation.account_id)
        version = await self._secrets.config(owner, choice.version)
        try:
            bundle = await self._bundle(context, owner, choice, version.config)
            context.redactor = Redactor(bundle.environment.values())
            provider = self._machines.provider(context)
            async with asyncio.timeout(self._check_s):
                await provider.check_configuration(row.id, bundle)
            async with context.call(self._machines.call_s):
                await provider.write_configuration(row.id, bundle)
        except ConfigurationRejected as error:
            async with context.transaction() as unit:
                issues = [context.redactor.redact(issue) for issue in error.issues]
                context.emit(unit, ConfigRejected(version=choice.version, issues=issues))
            raise
        applied = {**choice.model_dump(mode="json"), "config_version": choice.version}
        applied.pop("version")

        async def record(unit: UnitOfWork) -> None:
            await unit.session.execute(_APPLIED, {"id": operation.instance_id, "config": applied})
            context.emit(unit, ConfigApplied(version=choice.version, content_hash=version.content_hash))

        return record

    async def _bundle(self, context: StepContext, owner: Owner, choice: Choice, chosen: dict[str, Any]) -> Bundle:
        environment: dict[str, str] = {}
        for reference in choice.secrets:
            variable = variable_of(reference.name, Channel(choice.channel))
            if variable is not None:
                environment[variable] = await self._secrets.open(owner, reference)
        if OWN_LLM_KEY not in {reference.name for reference in choice.secrets}:
            environment[LLM_KEY_VARIABLE] = await self._minted_key(context)
        identity = await self._agents.identity(owner.instance_id)
        return bundle_of(
            choice,
            identity=identity,
            llm_base_url=self._llm_base_url,
            origin=self._origin,
            chosen=chosen,
            environment=environment,
        )

    async def _minted_key(self, context: StepContext) -> str:
        async with context.transaction() as unit:
            row = await llm_keys.live(unit, context.operation.instance_id)
        if row is None or row.secret is None:
            raise PermanentError("the instance has no LLM key; redeploy it to mint one")
        return self._secrets.decrypt(row.secret, purpose=llm_keys.SECRET_PURPOSE).decode()

    async def start(self, context: StepContext) -> Record:
        """Bring the gateway up; from now on it is restarted when it vanishes."""
        row = await self._machines.server_row(context)
        async with context.call(self._machines.call_s):
            server = await self._machines.provider(context).start(row.id)
        address = server.address.base_url if server.address else None
        started_at = server.started_at or utc_now()
        to_stay = context.undoing or context.operation.kind not in DEPLOYMENTS  # a deployment may still fail

        async def record(unit: UnitOfWork) -> None:
            await servers.seen(unit, server)
            await unit.session.execute(_WANTED, {"id": context.operation.instance_id, "wanted": "running"})
            if to_stay:
                await holders.outgrown(unit, row.id)
            probe_url = address if server.is_openclaw else None
            event = InstanceStarted(server_id=row.id, probe_url=probe_url, endpoint=address, started_at=started_at)
            context.emit(unit, event)

        return record

    async def wait_started(self, context: StepContext) -> Record:
        """Wait for ``/startupz``; an exit is a failure told with the last lines, and so is a start that gets nowhere in 90 s."""
        provider, row = self._machines.provider(context), await self._machines.server_row(context)
        patience = StartPatience(seconds=self._start_s)
        while True:
            due = patience.is_due()  # before the look: it may have been ours that stood still
            server = await provider.observe(row.id)
            if server is not None and require_alive(server).ready:
                return lambda unit: servers.seen(unit, server)
            if server is not None and server.exited is not None:
                raise ExitedBeforeReady(server.exited.exit_code, server.exited.last_lines)
            if due and patience.is_over(lines := await provider.logs(row.id, tail=_LAST_LINES)):
                await context.write(lines)
                raise PermanentError(patience.complaint(lines))
            await context.sleep(_LOOK_AGAIN_S)

    async def verify(self, context: StepContext) -> None:
        """Ask the gateway for its health and its models; spends no tokens. Another program is asked nothing: its port answers."""
        choice, row = choice_of(context.operation), await self._machines.server_row(context)
        server = await self._machines.provider(context).observe(row.id)
        if server is not None and not server.is_openclaw:
            return
        seen_by_its_agent = server.models or () if server is not None else ()
        known = seen_by_its_agent if row.port is None else await self._models(context, row)
        if choice.model not in known and f"openrouter/{choice.model}" not in known:
            raise GatewayBusy(f"the agent does not know {choice.model} yet", retry_after=1)

    async def _models(self, context: StepContext, row: Any) -> Collection[str]:
        gateway = await self._agents.gateway(context.operation.instance_id, host=row.host, port=row.port)
        await gateway.rpc("health")
        payload: Any = await gateway.rpc("models.list")
        return {f"{m['provider']}/{m['id']}" for m in payload["models"]} | {m["id"] for m in payload["models"]}

    async def publish_endpoint(self, context: StepContext) -> Record:
        """Note where the agent answers; the end of the operation tells it."""
        provider, row = self._machines.provider(context), await self._machines.server_row(context)
        server: Server | None = await provider.observe(row.id)
        if server is None or server.located is None:
            raise PermanentError("the server vanished while it was deployed")
        return lambda unit: servers.seen(unit, server)

    async def stop(self, context: StepContext) -> Record | None:
        """Bring the gateway down; it stays down until somebody asks for it."""
        async with context.transaction() as unit:
            row = await servers.live(unit, context.operation.instance_id)
        if row is None:
            return None
        kind, drain = context.operation.kind, context.operation.kind in _DRAINING and not context.undoing
        async with context.call(self._machines.call_s + (_DRAIN_S if drain else 0.0)):
            server = await self._machines.provider(context).stop(row.id, drain=drain)

        async def record(unit: UnitOfWork) -> None:
            await servers.seen(unit, server)
            await unit.session.execute(_WANTED, {"id": context.operation.instance_id, "wanted": "stopped"})
            reason = "failed" if context.undoing else _REASONS.get(kind, "restarting")
            context.emit(unit, InstanceStopped(server_id=row.id, stopped_at=utc_now(), reason=reason))

        return record

    async def forget(self, context: StepContext) -> Record:
        """Erase the copies of its secrets and configurations, and tell that nothing is left."""
        instance_id: UUID = context.operation.instance_id

        async def record(unit: UnitOfWork) -> None:
            at = utc_now()
            await unit.session.execute(_GONE, {"id": instance_id, "at": at})  # first: resealing adds no copy after it
            for table in ("secret_copies", "config_copies", "agent_configurations", "kept_states"):
                await unit.session.execute(text(f"DELETE FROM {table} WHERE instance_id = :id"), {"id": instance_id})  # noqa: S608 - a constant
            context.emit(unit, InstanceDestroyed(destroyed_at=at))

        return record

"""Steps about the instance's LLM key."""

from datetime import timedelta
from typing import Any

from clawdeploy_common.errors import ClawDeployError
from clawdeploy_common.work import UnitOfWork
from clawdeploy_provisioner import debts, llm_keys
from clawdeploy_provisioner.openrouter import OpenRouterKeys
from clawdeploy_provisioner.operations.context import Record, StepContext
from clawdeploy_provisioner.operations.steps import Step
from clawdeploy_provisioner.secret_store import SecretStore

VISIBILITY_LAG = timedelta(seconds=2)
"""How long after a call a key may still be missing from OpenRouter's list."""


class KeySteps:
    """Mint, and revoke: disable now, delete after the last reading."""

    def __init__(self, keys: OpenRouterKeys, secrets: SecretStore, *, call_s: float, grace: timedelta) -> None:
        self._keys = keys
        self._secrets = secrets
        self._call_s = call_s
        self._grace = grace

    def steps(self) -> dict[str, Step]:
        """By name."""
        return {"mint_llm_key": Step(self.mint, undo=self.revoke), "revoke_llm_key": Step(self.revoke)}

    async def mint(self, context: StepContext) -> Record:
        """Delete every key of our name, whose secret is lost, then mint one."""
        operation, plan = context.operation, context.operation.deployment
        name = llm_keys.name_of(operation.instance_id, operation.id)
        await context.settle(VISIBILITY_LAG)
        async with context.call(self._call_s):
            await self._keys.delete_named(name)
        async with context.transaction() as unit:
            await llm_keys.intend(
                unit,
                instance_id=operation.instance_id,
                account_id=operation.account_id,
                name=name,
                limit_micros=plan.llm_limit_micros,
            )
        async with context.call(self._call_s):
            key = await self._keys.mint(name, limit_micros=plan.llm_limit_micros)
        encrypted = self._secrets.encrypt(key.secret.encode(), purpose=llm_keys.SECRET_PURPOSE)

        async def record(unit: UnitOfWork) -> None:
            event = await llm_keys.minted(
                unit,
                key,
                name=name,
                encrypted=encrypted,
                limit_micros=plan.llm_limit_micros,
                price_version=plan.price_version,
            )
            context.emit(unit, event)

        return record

    async def revoke(self, context: StepContext) -> Record | None:
        """Disable the instance's key, or owe it; one that was only intended is deleted by its name."""
        async with context.transaction() as unit:
            row = await llm_keys.live(unit, context.operation.instance_id)
        if row is None:
            return None
        await context.settle(VISIBILITY_LAG)
        try:
            return await self._revoke_row(context, row)
        except (ClawDeployError, TimeoutError) as error:
            return self._owed(row, context.redactor.redact(f"{type(error).__name__}: {error}"))

    async def _revoke_row(self, context: StepContext, row: Any) -> Record:
        if row.key_hash is None:
            async with context.call(self._call_s):
                await self._keys.delete_named(row.name)
            return lambda unit: llm_keys.forgotten(unit, row.id)
        async with context.call(self._call_s):
            await self._keys.disable(row.key_hash)
        return lambda unit: llm_keys.disabled(unit, row.id, grace=self._grace, operation_id=context.operation.id)

    def _owed(self, row: Any, reason: str) -> Record:
        async def record(unit: UnitOfWork) -> None:
            reference = row.key_hash or row.name
            await debts.owe(unit, row, resource="llm_key", provider="openrouter", provider_ref=reference, reason=reason)
            await llm_keys.abandoned(unit, row.id)

        return record

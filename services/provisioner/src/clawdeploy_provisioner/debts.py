"""Clean-up debts: what could not be removed is written down and tried until the provider confirms (law 7)."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import DateTime, bindparam, text

from clawdeploy_common.clock import utc_now
from clawdeploy_common.database import Database
from clawdeploy_common.ids import new_id
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.lifecycle import CleanupOwed, CleanupSettled, ServerDestroyed
from clawdeploy_provisioner import llm_keys, servers
from clawdeploy_provisioner.metrics import CLEANUP_DEBTS, OLDEST_DEBT
from clawdeploy_provisioner.openrouter import OpenRouterKeys
from clawdeploy_provisioner.providers.protocol import LastBill, Provider, ProviderUnavailable, Rented, Server

log = structlog.get_logger()

_MAX_DELAY_S = 600
_TRY_S = 60
_ADD = text(
    """
    INSERT INTO cleanup_debts (id, instance_id, account_id, resource, resource_id, provider, provider_ref, reason, retry_at)
    VALUES (:id, :instance_id, :account_id, :resource, :resource_id, :provider, :provider_ref, :reason, clock_timestamp())
    ON CONFLICT DO NOTHING RETURNING id
    """
)
_DUE = text(
    """
    UPDATE cleanup_debts SET attempts = attempts + 1, retry_at = clock_timestamp() + make_interval(secs => :hold)
    WHERE id IN (SELECT id FROM cleanup_debts WHERE settled_at IS NULL AND retry_at <= clock_timestamp()
                 ORDER BY retry_at LIMIT 20 FOR UPDATE SKIP LOCKED)
    RETURNING *
    """
)
_SETTLE = text(
    "UPDATE cleanup_debts SET settled_at = clock_timestamp() WHERE id = :id AND settled_at IS NULL RETURNING id"
)
_POSTPONE = text(
    "UPDATE cleanup_debts SET retry_at = clock_timestamp() + make_interval(secs => :delay), reason = :reason WHERE id = :id"
)
_SERVER = text("SELECT * FROM servers WHERE id = :id")
_DESTROYED = text(
    """
    UPDATE servers SET destroyed_at = :at, state = 'gone', paid_until = :paid_until
    WHERE id = :id AND destroyed_at IS NULL RETURNING accepted_at
    """
).bindparams(bindparam("paid_until", type_=DateTime(timezone=True)))
_OPEN = text(
    """
    SELECT count(*) AS debts, coalesce(extract(epoch FROM clock_timestamp() - min(owed_at)), 0) AS age
    FROM cleanup_debts WHERE settled_at IS NULL
    """
)


async def owe(unit: UnitOfWork, row: Any, *, resource: str, provider: str, provider_ref: str, reason: str) -> None:
    """Write a debt down for a server's or a key's row; one that is owed already stays as it is."""
    values: dict[str, Any] = {
        "id": new_id(),
        "instance_id": row.instance_id,
        "account_id": row.account_id,
        "resource": resource,
    }
    values |= {"resource_id": row.id, "provider": provider, "provider_ref": provider_ref, "reason": reason[:500]}
    debt_id = await unit.session.scalar(_ADD, values)
    if debt_id is not None:
        event = CleanupOwed(
            debt_id=debt_id, resource=resource, provider=provider, provider_ref=provider_ref, reason=reason[:500]
        )
        unit.outbox.add(event, key=row.instance_id, account_id=row.account_id)


class DebtCollector:
    """Tries what is owed, every second, with back-off per debt."""

    def __init__(
        self, database: Database, *, providers: Mapping[str, Provider], keys: OpenRouterKeys, grace: timedelta
    ) -> None:
        self._database = database
        self._providers = providers
        self._keys = keys
        self._grace = grace

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self.collect()
            await asyncio.sleep(1)

    async def collect(self) -> None:
        """Go once through what is due."""
        async with self._database.transaction() as unit:
            debts = (await unit.session.execute(_DUE, {"hold": _TRY_S * 2})).all()
            owed = (await unit.session.execute(_OPEN)).one()
        CLEANUP_DEBTS.set(owed.debts)
        OLDEST_DEBT.set(float(owed.age))
        for debt in debts:
            try:
                async with asyncio.timeout(_TRY_S):
                    await self._settle(debt)
            except Exception as error:  # noqa: BLE001 - a debt is never given up
                delay = min(_MAX_DELAY_S, 2**debt.attempts)
                log.warning(
                    "cleanup.postponed", debt_id=str(debt.id), resource=debt.resource, delay_s=delay, error=repr(error)
                )
                async with self._database.transaction() as unit:
                    await unit.session.execute(_POSTPONE, {"id": debt.id, "delay": delay, "reason": str(error)[:500]})

    async def _settle(self, debt: Any) -> None:
        bill = LastBill()
        if debt.resource == "server":
            bill = await self._destroy(debt)
        else:
            await llm_keys.stop_spending(self._database, self._keys, debt.resource_id)
        await self._tell_settled(debt, bill)

    async def _destroy(self, debt: Any) -> LastBill:
        provider = self._providers[debt.provider]
        async with self._database.transaction() as unit:
            row = (await unit.session.execute(_SERVER, {"id": debt.resource_id})).one()
        found = await found_unrecorded(provider, row)
        if found is not None:
            async with self._database.transaction() as unit:
                event = await servers.accepted(unit, row, found)
                unit.outbox.add(event, key=row.instance_id, account_id=row.account_id)
        return await destroy_confirmed(provider, row)

    async def _tell_settled(self, debt: Any, bill: LastBill) -> None:
        async with self._database.transaction() as unit:
            if await unit.session.scalar(_SETTLE, {"id": debt.id}) is None:
                return
            if debt.resource == "server":
                await server_destroyed(
                    unit,
                    debt.resource_id,
                    debt.provider,
                    bill=bill,
                    instance_id=debt.instance_id,
                    account_id=debt.account_id,
                )
            else:
                await llm_keys.disabled(unit, debt.resource_id, grace=self._grace)
            unit.outbox.add(CleanupSettled(debt_id=debt.id), key=debt.instance_id, account_id=debt.account_id)


async def found_unrecorded(provider: Provider, row: Any) -> Server | None:
    """A rented server that is there though its row does not say that it was accepted."""
    if row.accepted_at is not None or not isinstance(provider, Rented):
        return None
    return await provider.find_server(row.id)


async def destroy_confirmed(provider: Provider, row: Any) -> LastBill:
    """Destroy a server, and believe it only when a rented one's own number is not known any more. Returns what it still costs.

    Raises:
        ProviderUnavailable: it is still there; a listing that left it out said otherwise.
    """
    await provider.destroy(row.id)
    if not isinstance(provider, Rented):
        return LastBill()
    if row.provider_ref is not None and await provider.holds(row.provider_ref):
        raise ProviderUnavailable(f"server {row.provider_ref} is still there", retry_after=2)
    return await provider.last_bill(row.id)


async def server_destroyed(
    unit: UnitOfWork,
    server_id: UUID,
    provider: str,
    *,
    bill: LastBill,
    instance_id: UUID,
    account_id: UUID,
    operation_id: UUID | None = None,
) -> None:
    """Record that a provider confirmed a server's deletion, and what it charges; metering stops here if it had started."""
    at = utc_now()
    values = {"id": server_id, "at": at, "paid_until": bill.paid_until}
    row = (await unit.session.execute(_DESTROYED, values)).one_or_none()
    if row is not None and row.accepted_at is not None:
        event = ServerDestroyed(
            server_id=server_id,
            provider=provider,
            destroyed_at=at,
            paid_until=bill.paid_until,
            refunded=bill.refunded,
        )
        unit.outbox.add(event, key=instance_id, account_id=account_id, correlation_id=operation_id)

"""Reading meters and usage of an account."""

from uuid import UUID

from sqlalchemy import Uuid, bindparam, text

from clawdeploy_api.cost import MeterReading, UsageTotal
from clawdeploy_common.work import UnitOfWork

_INSTANCE = bindparam("instance", type_=Uuid)
_METERS = text(
    """
    SELECT m.*, CASE WHEN v.deployed_at IS NULL AND v.state = 'error' THEN m.since ELSE i.destroy_requested_at END AS charged_until
    FROM meters m
    LEFT JOIN instances i ON i.id = m.instance_id
    LEFT JOIN instance_views v ON v.instance_id = m.instance_id
    WHERE m.account_id = :account AND (:instance IS NULL OR m.instance_id = :instance)
    """
).bindparams(_INSTANCE)
_USAGE = text(
    "SELECT * FROM usage_totals WHERE account_id = :account AND (:instance IS NULL OR instance_id = :instance)"
).bindparams(_INSTANCE)


async def meters(uow: UnitOfWork, account_id: UUID, *, instance_id: UUID | None = None) -> list[MeterReading]:
    """All meters of an account, or of one instance."""
    rows = await uow.session.execute(_METERS, {"account": account_id, "instance": instance_id})
    return [
        MeterReading(
            instance_id=row.instance_id,
            price_version=row.price_version,
            closed=row.closed,
            since=row.since,
            cost_micros_per_hour=row.cost_micros_per_hour,
            charge_micros_per_hour=row.charge_micros_per_hour,
            seconds=row.seconds,
            cost_micros=row.cost_micros,
            charge_micros=row.charge_micros,
            charged_until=row.charged_until,
        )
        for row in rows
    ]


async def usage(uow: UnitOfWork, account_id: UUID, *, instance_id: UUID | None = None) -> list[UsageTotal]:
    """All LLM usage of an account, or of one instance."""
    rows = await uow.session.execute(_USAGE, {"account": account_id, "instance": instance_id})
    return [
        UsageTotal(
            instance_id=row.instance_id,
            price_version=row.price_version,
            cost_micros=row.cost_micros,
            charge_micros=row.charge_micros,
        )
        for row in rows
    ]

"""What things have cost by now."""

from collections import defaultdict
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from sqlalchemy import text

from clawdeploy_api import cost_rows, operation_rows
from clawdeploy_api.authentication import SignedIn
from clawdeploy_api.cost import Line, llm_line, server_line, summed
from clawdeploy_api.endpoints.documented import InstanceId, problems
from clawdeploy_api.gateway import TheGateway
from clawdeploy_api.public.cost import AccountCost, Cost, CostLine, InstanceShare
from clawdeploy_common.clock import utc_now
from clawdeploy_common.work import UnitOfWork

router = APIRouter(tags=["cost"])

_NAMES = text("SELECT id, name FROM instances WHERE account_id = :account")


@router.get("/instances/{instance_id}/cost", responses=problems(404), summary="Show what an instance costs")
async def get_instance_cost(instance_id: InstanceId, gateway: TheGateway, person: SignedIn) -> Cost:
    """Up to this moment: its servers by the second, and what its LLM keys used."""
    now = utc_now()
    async with gateway.database.web_transaction(person.account_id) as unit:
        await operation_rows.require_instance(unit, person.account_id, instance_id)
        lines = await _lines(unit, person.account_id, now=now, instance_id=instance_id)
    return _cost([line for _, line in lines], now)


@router.get("/cost", responses=problems(), summary="Show what the account costs")
async def get_cost(gateway: TheGateway, person: SignedIn) -> AccountCost:
    """Up to this moment, over all instances, deleted ones too."""
    now = utc_now()
    async with gateway.database.web_transaction(person.account_id) as unit:
        lines = await _lines(unit, person.account_id, now=now)
        rows = await unit.session.execute(_NAMES, {"account": person.account_id})
        names: dict[UUID, str] = {row.id: row.name for row in rows}
    whole = _cost([line for _, line in lines], now)
    return AccountCost(**whole.model_dump(), instances=_shares(lines, names))


async def _lines(
    uow: UnitOfWork, account_id: UUID, *, now: datetime, instance_id: UUID | None = None
) -> list[tuple[UUID, Line]]:
    meters = await cost_rows.meters(uow, account_id, instance_id=instance_id)
    usage = await cost_rows.usage(uow, account_id, instance_id=instance_id)
    servers = [(meter.instance_id, server_line(meter, now=now)) for meter in meters]
    return [*servers, *((total.instance_id, llm_line(total)) for total in usage)]


def _cost(lines: list[Line], now: datetime) -> Cost:
    return Cost(
        as_of=now,
        cost_micros=sum(line.cost_micros for line in lines),
        charge_micros=sum(line.charge_micros for line in lines),
        lines=[CostLine(**asdict(line)) for line in summed(lines)],
    )


def _shares(lines: list[tuple[UUID, Line]], names: dict[UUID, str]) -> list[InstanceShare]:
    groups: dict[UUID, list[Line]] = defaultdict(list)
    for instance_id, line in lines:
        groups[instance_id].append(line)
    return [
        InstanceShare(
            instance_id=instance_id,
            name=names.get(instance_id),
            cost_micros=sum(line.cost_micros for line in group),
            charge_micros=sum(line.charge_micros for line in group),
        )
        for instance_id, group in sorted(groups.items())
    ]

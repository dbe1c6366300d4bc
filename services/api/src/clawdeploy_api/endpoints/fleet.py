"""Operators: the fleet, per provider."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, JsonValue

from clawdeploy_api.authentication import OperatorSignedIn
from clawdeploy_api.endpoints.documented import problems
from clawdeploy_api.forwarding import Target
from clawdeploy_api.gateway import TheGateway

router = APIRouter(prefix="/admin", tags=["admin"])

_EXAMPLE: dict[str, JsonValue] = {
    "name": "hetzner",
    "emulated": False,
    "servers": 12,
    "debts": 0,
    "orphans": 0,
    "removed": 1,
    "last_sweep": "2026-11-21T12:00:00Z",
    "lost": "0.00",
}


class ProviderFleet(BaseModel):
    """A provider: servers that are recorded, removals still owed, servers found that nobody owned and those of them removed,
    and `lost`, the most those can have cost (in the account's currency).
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: str
    emulated: bool
    servers: int
    debts: int
    orphans: int
    removed: int
    last_sweep: datetime | None
    lost: str


class Fleet(BaseModel):
    """Every provider that is switched on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [_EXAMPLE]}]})

    items: list[ProviderFleet]


@router.get("/fleet", responses=problems(403), summary="Show the fleet")
async def show_fleet(gateway: TheGateway, _: OperatorSignedIn) -> Fleet:
    """What runs at each provider, what must still be removed there, and what nobody owned."""
    target = Target(service="provisioner", path="/internal/operator/fleet", account_id=None, operator=True)
    return Fleet.model_validate(await gateway.forwarder.get(target))

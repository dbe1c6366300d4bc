"""Operators: the servers that are recorded, at every provider."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, JsonValue

from clawdeploy_api.authentication import OperatorSignedIn
from clawdeploy_api.endpoints.documented import Cursor, Limit, problems
from clawdeploy_api.forwarding import Target
from clawdeploy_api.gateway import TheGateway
from clawdeploy_common.cursors import Page

router = APIRouter(prefix="/admin", tags=["admin"])

_EXAMPLE: dict[str, JsonValue] = {
    "id": "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e03",
    "instance_id": "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e01",
    "account_id": "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e02",
    "provider": "hetzner",
    "region": "nbg1",
    "plan": "basic",
    "provider_ref": "4711",
    "state": "running",
    "detail": None,
    "host": "203.0.113.7",
    "observed_at": "2026-11-21T12:00:00Z",
    "accepted_at": "2026-11-21T11:50:00Z",
    "destroyed_at": None,
    "paid_until": None,
}


class RecordedServer(BaseModel):
    """A server of an instance, kept after its destruction; `provider_ref` is the provider's own number. One that is `terminating` is
    destroyed, and stays at its provider, empty and paid for, until `paid_until`.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: UUID
    instance_id: UUID
    account_id: UUID
    provider: str
    region: str
    plan: str
    provider_ref: str | None
    state: str
    detail: str | None
    host: str | None
    observed_at: datetime | None
    accepted_at: datetime | None
    destroyed_at: datetime | None
    paid_until: datetime | None = None


@router.get("/servers", responses=problems(403), summary="List servers")
async def list_servers(
    gateway: TheGateway,
    _: OperatorSignedIn,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[RecordedServer]:
    """Every server of every account, the oldest first, with those that are destroyed."""
    target = Target(
        service="provisioner",
        path="/internal/operator/servers",
        account_id=None,
        operator=True,
        query={"cursor": cursor, "limit": limit},
    )
    return Page[RecordedServer].model_validate(await gateway.forwarder.get(target))

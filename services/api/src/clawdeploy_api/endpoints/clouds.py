"""Operators: the cloud accounts that are connected, as the clouds see them."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, JsonValue

from clawdeploy_api.authentication import OperatorSignedIn
from clawdeploy_api.endpoints.documented import problems
from clawdeploy_api.forwarding import Target
from clawdeploy_api.gateway import TheGateway

router = APIRouter(prefix="/admin", tags=["admin"])

SURVEY_S = 60.0
Name = Annotated[
    str, Path(pattern=r"^[a-z][a-z0-9-]{0,31}$", description="a connected cloud", examples=["digitalocean"])
]
_EXAMPLE: dict[str, JsonValue] = {
    "provider": "digitalocean",
    "emulated": False,
    "account": {"name": "operator@example.com", "status": "active", "server_limit": 25},
    "regions": [{"id": "nyc3", "name": "New York 3", "available": True}],
    "sizes": [
        {
            "id": "s-1vcpu-2gb",
            "vcpus": 1,
            "memory_mb": 2048,
            "disk_gb": 50,
            "hourly": "0.01786",
            "monthly": "12.0",
            "regions": ["nyc3"],
        }
    ],
    "images": [{"id": "ubuntu-24-04-x64", "name": "Ubuntu 24.04 (LTS) x64"}],
    "servers": [
        {
            "ref": "3164444",
            "name": "clawdeploy-01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e01",
            "status": "active",
            "region": "nyc3",
            "size": "s-1vcpu-2gb",
            "host": "203.0.113.7",
            "created_at": "2026-11-21T12:00:00Z",
            "labels": ["clawdeploy:server:01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e01"],
        }
    ],
}


class CloudRegion(BaseModel):
    """A place where servers can stand."""

    id: str
    name: str
    available: bool


class CloudSize(BaseModel):
    """A kind of server; prices are net, in the account's currency, the lowest of its regions."""

    id: str
    vcpus: int
    memory_mb: int
    disk_gb: int
    hourly: str
    monthly: str
    regions: list[str]


class CloudImage(BaseModel):
    """A system a server can be made with."""

    id: str
    name: str


class CloudServer(BaseModel):
    """A server of the account in the cloud's own words, whoever made it."""

    ref: str
    name: str
    status: str
    region: str
    size: str
    host: str | None
    created_at: datetime
    labels: list[str]


class CloudAccount(BaseModel):
    """What the cloud tells of the account; null where it tells nothing."""

    name: str | None
    status: str | None
    server_limit: int | None


class ProviderAccount(BaseModel):
    """A connected cloud account: what is offered there, and every server in it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    provider: str
    emulated: bool
    account: CloudAccount
    regions: list[CloudRegion]
    sizes: list[CloudSize]
    images: list[CloudImage]
    servers: list[CloudServer]


@router.get("/providers/{provider}", responses=problems(403, 404, 409), summary="Show a cloud account")
async def show_provider(provider: Name, gateway: TheGateway, _: OperatorSignedIn) -> ProviderAccount:
    """The account, its regions, sizes, images and servers, asked of the cloud now; 409 says what the cloud refused."""
    target = Target(
        service="provisioner",
        path=f"/internal/operator/providers/{provider}",
        account_id=None,
        operator=True,
        timeout_s=SURVEY_S,
    )
    return ProviderAccount.model_validate(await gateway.forwarder.get(target))

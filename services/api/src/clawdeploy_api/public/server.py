"""A server as operators see it, and a machine of their own as they register it."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, SecretStr

_EXAMPLE: dict[str, JsonValue] = {
    "id": "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e03",
    "kind": "rented",
    "name": None,
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
    "memory_mb": None,
}


class RecordedServer(BaseModel):
    """A server: `rented` is one that a provider made for an instance, kept after its destruction, `provider_ref` the provider's own
    number; one that is `terminating` is destroyed, and stays at its provider, empty and paid for, until `paid_until`.
    `own` is a machine that an operator registered, whose `state` is `checking`, `free`, `unreachable` (`detail` says why), `taken`
    or `releasing`, with the instance that is on it; `memory_mb` is what may be placed there.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: UUID
    kind: Literal["rented", "own"]
    name: str | None
    instance_id: UUID | None
    account_id: UUID | None
    provider: str
    region: str
    plan: str | None
    provider_ref: str | None
    state: str
    detail: str | None
    host: str | None
    observed_at: datetime | None
    accepted_at: datetime | None
    destroyed_at: datetime | None
    paid_until: datetime | None = None
    memory_mb: int | None = None


class AddServer(BaseModel):
    """A machine that the operator has, and how the platform gets in over SSH: as root, or as somebody who may `sudo` without a password."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "nas",
                    "address": "nas.example.org",
                    "ssh_user": "root",
                    "ssh_private_key": "<a private key without a passphrase>",
                    "region": "home",
                }
            ]
        },
    )

    name: Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$", description="unique")]
    address: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9:][A-Za-z0-9.:-]{0,252}$", description="host name or IP address")
    ]
    ssh_port: Annotated[int, Field(ge=1, le=65_535)] = 22
    ssh_user: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_.-]{0,31}$")] = "root"
    ssh_private_key: SecretStr = Field(
        min_length=1, max_length=16_384, description="Write-only: it is encrypted and shown to nobody."
    )
    host_key: Annotated[str, Field(min_length=1, max_length=4096)] | None = Field(
        default=None,
        description="the machine's public host key, as in /etc/ssh/ssh_host_ed25519_key.pub; without it the first one shown counts",
    )
    region: Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$", description="a label of your own")]
    memory_mb: Annotated[int, Field(ge=256, le=16_777_216)] | None = Field(
        default=None, description="what may be placed there; without it as the machine says"
    )

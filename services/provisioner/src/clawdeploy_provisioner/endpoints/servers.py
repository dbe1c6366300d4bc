"""What operators see of servers: those that providers made, and the machines of their own, which they register here."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import asyncssh
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, SecretStr
from sqlalchemy import Uuid, bindparam, text

from clawdeploy_common.cursors import Page, decode_id, encode_id
from clawdeploy_common.database import Database
from clawdeploy_common.errors import Conflict, InvalidInput, NotFound
from clawdeploy_common.internal import Operator
from clawdeploy_provisioner.endpoints.operators import Limit
from clawdeploy_provisioner.providers.own.register import Register, Registration
from clawdeploy_provisioner.providers.protocol import Provider, ProviderUnavailable, Rented

_RENTED = """
    SELECT id, 'rented' AS kind, NULL AS name, instance_id, account_id, provider, region, plan, provider_ref,
           CASE WHEN paid_until > clock_timestamp() THEN 'terminating' ELSE state END AS state,
           detail, host, port, restarts, observed_at, accepted_at, destroyed_at, paid_until, NULL::integer AS memory_mb
    FROM servers WHERE provider <> 'own'
"""
_OWN = """
    SELECT o.id, 'own', o.name, s.instance_id, s.account_id, 'own', o.region, s.plan, NULL, o.state, coalesce(o.reason, s.detail),
           o.address, NULL, coalesce(s.restarts, 0), coalesce(s.observed_at, o.checked_at), o.claimed_at, NULL, NULL, o.memory_mb
    FROM own_servers o LEFT JOIN servers s ON s.id = o.server_id
"""
_PAGE = text(
    f"""
    SELECT * FROM ({_RENTED} UNION ALL {_OWN}) AS found
    WHERE (CAST(:after AS uuid) IS NULL OR id > :after) ORDER BY id LIMIT :limit
    """  # noqa: S608 - constants
)
_ONE = text(f"SELECT * FROM ({_RENTED} UNION ALL {_OWN}) AS found WHERE id = :id").bindparams(  # noqa: S608 - constants
    bindparam("id", type_=Uuid)
)
_HOST_KEY_PARTS = 2
_REBOOT_S = 25.0


class ServerView(BaseModel):
    """A server as recorded; ``terminating`` are those that are destroyed here and paid for at their provider until a date."""

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
    port: int | None
    restarts: int
    observed_at: datetime | None
    accepted_at: datetime | None
    destroyed_at: datetime | None
    paid_until: datetime | None
    memory_mb: int | None


class NewMachine(BaseModel):
    """A machine of the operator's own, and how to get in."""

    name: str
    address: str
    ssh_port: int = Field(ge=1, le=65_535)
    ssh_user: str
    ssh_private_key: SecretStr
    host_key: str | None = None
    region: str
    memory_mb: int | None = None


def servers_router(database: Database, register: Register, providers: Mapping[str, Provider]) -> APIRouter:
    """``/internal/operator/servers``."""
    router = APIRouter(prefix="/internal/operator/servers", include_in_schema=False)

    @router.get("")
    async def servers(_: Operator, cursor: str | None = None, limit: Limit = 50) -> Page[ServerView]:
        async with database.connection() as connection:
            rows = (await connection.execute(_PAGE, {"after": decode_id(cursor), "limit": limit + 1})).mappings().all()
        items = [ServerView.model_validate(dict(row)) for row in rows[:limit]]
        return Page(items=items, next_cursor=encode_id(items[-1].id) if len(rows) > limit else None)

    @router.get("/{server_id}")
    async def server(server_id: UUID, _: Operator) -> ServerView:
        return await _shown(database, server_id)

    @router.post("", status_code=201)
    async def add(body: NewMachine, _: Operator) -> ServerView:
        return await _shown(database, await register.register(_registration(body)))

    @router.delete("/{server_id}", status_code=204)
    async def remove(server_id: UUID, _: Operator, lost: Annotated[bool, Query()] = False) -> None:
        await register.remove(server_id, lost=lost)

    @router.post("/{server_id}/reboot", status_code=204)
    async def reboot(server_id: UUID, _: Operator) -> None:
        await _rebooted(await _shown(database, server_id), providers)

    return router


async def _rebooted(server: ServerView, providers: Mapping[str, Provider]) -> None:
    """Raises Conflict where there is nothing to restart, and what the provider raises."""
    if (reason := _never_rebooted(server)) is not None:
        raise Conflict(f"server {server.id} {reason}")
    provider = providers.get(server.provider)
    if not isinstance(provider, Rented):
        raise Conflict(f"server {server.id} is at {server.provider}, which has no machine for it alone")
    try:
        async with asyncio.timeout(_REBOOT_S):
            await provider.reboot(server.id)
    except TimeoutError:
        raise ProviderUnavailable(f"{server.provider} has not taken it on yet", retry_after=10) from None


def _never_rebooted(server: ServerView) -> str | None:
    if server.kind == "own":
        return "is your own machine: restart it where it stands; its agent comes up with it"
    return "is destroyed" if server.destroyed_at is not None else None


async def _shown(database: Database, server_id: UUID) -> ServerView:
    async with database.connection() as connection:
        row = (await connection.execute(_ONE, {"id": server_id})).mappings().first()
    if row is None:
        raise NotFound(f"no server {server_id}")
    return ServerView.model_validate(dict(row))


def _registration(body: NewMachine) -> Registration:
    return Registration(
        name=body.name,
        address=body.address.lower(),
        ssh_port=body.ssh_port,
        ssh_user=body.ssh_user,
        ssh_key=_private_key(body.ssh_private_key),
        host_key=None if body.host_key is None else _host_key(body.host_key),
        region=body.region,
        memory_mb=body.memory_mb,
    )


def _private_key(given: SecretStr) -> bytes:
    """As it came, when it can be used; raises InvalidInput."""
    pem = f"{given.get_secret_value().strip()}\n"
    try:
        asyncssh.import_private_key(pem)
    except asyncssh.KeyEncryptionError:
        reason = "is protected by a passphrase; give one that is not, made for this purpose"
    except (asyncssh.KeyImportError, ValueError):
        reason = "is no private SSH key"
    else:
        return pem.encode()
    raise InvalidInput("ssh_private_key", reason)


def _host_key(given: str) -> str:
    """Type and key, without a comment, as they are compared; raises InvalidInput."""
    line = " ".join(given.split()[:_HOST_KEY_PARTS])
    try:
        return asyncssh.import_public_key(line).export_public_key("openssh").decode().strip()
    except (asyncssh.KeyImportError, ValueError):
        raise InvalidInput(
            "host_key", "is no public SSH key such as ssh-ed25519 AAAA…, the line in /etc/ssh/ssh_host_ed25519_key.pub"
        ) from None

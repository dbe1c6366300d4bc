"""What operators see of the provisioner's rows."""

import asyncio
from datetime import datetime
from typing import Annotated, Protocol
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import text

from clawdeploy_common.cursors import Page, decode_id, encode_id
from clawdeploy_common.database import Database
from clawdeploy_common.internal import Caller, Operator
from clawdeploy_provisioner.providers.own.register import Register

_DEBTS = text(
    """
    SELECT id, instance_id, account_id, resource, provider, provider_ref, reason, attempts, retry_at, owed_at, settled_at
    FROM cleanup_debts WHERE (CAST(:after AS uuid) IS NULL OR id > :after) ORDER BY id LIMIT :limit
    """
)
Limit = Annotated[int, Query(ge=1, le=200)]


class DebtView(BaseModel):
    """A resource that must still be removed, or was."""

    id: UUID
    instance_id: UUID
    account_id: UUID
    resource: str
    provider: str
    provider_ref: str
    reason: str
    attempts: int
    retry_at: datetime
    owed_at: datetime
    settled_at: datetime | None


class Containers(Protocol):
    """A provider that needs an engine on some machine."""

    async def is_connected(self) -> bool:
        """Whether any engine answers."""
        ...

    async def is_ready(self) -> bool:
        """Whether a new agent could be made at once."""
        ...


class Engines(BaseModel):
    """What the provisioner can use; ``docker_ready`` says that a new agent's image is there too, ``own_regions`` are the labels of the
    operator's own machines.
    """

    docker: bool = False
    docker_ready: bool = False
    own_regions: list[str] = []


def operator_router(database: Database, docker: Containers | None, register: Register) -> APIRouter:
    """Routes under ``/internal/operator``, and what engines there are."""
    router = APIRouter(prefix="/internal", include_in_schema=False)

    @router.get("/operator/debts")
    async def debts(_: Operator, cursor: str | None = None, limit: Limit = 50) -> Page[DebtView]:
        async with database.connection() as connection:
            rows = (await connection.execute(_DEBTS, {"after": decode_id(cursor), "limit": limit + 1})).mappings().all()
        items = [DebtView.model_validate(dict(row)) for row in rows[:limit]]
        return Page(items=items, next_cursor=encode_id(items[-1].id) if len(rows) > limit else None)

    @router.get("/engines")
    async def engines(_: Caller) -> Engines:
        regions = await register.regions()
        if docker is None:
            return Engines(own_regions=regions)
        connected, ready = await asyncio.gather(docker.is_connected(), docker.is_ready())
        return Engines(docker=connected, docker_ready=ready, own_regions=regions)

    return router

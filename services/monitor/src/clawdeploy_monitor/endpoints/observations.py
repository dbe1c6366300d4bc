"""What was observed of an account's instances, for the gateway."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import text

from clawdeploy_common.database import Database
from clawdeploy_common.internal import Caller
from clawdeploy_events.health import ChannelHealth, ProcessHealth

_LATEST = text(
    """
    SELECT instance_id, process, channel, detail, observed_at, lifecycle_version FROM watches
    WHERE account_id = :account AND observed_at IS NOT NULL AND expected <> 'gone'
    """
)


class ObservationView(BaseModel):
    """The latest verdict on one instance; ``lifecycle_version`` is what the monitor knew when it was given."""

    instance_id: UUID
    process: ProcessHealth
    channel: ChannelHealth
    detail: str | None
    observed_at: datetime
    lifecycle_version: int


class ObservationList(BaseModel):
    """The latest verdict on each of an account's instances."""

    items: list[ObservationView]


def observations_router(database: Database) -> APIRouter:
    """Routes under ``/internal/observations``."""
    router = APIRouter(prefix="/internal", include_in_schema=False)

    @router.get("/observations")
    async def list_observations(caller: Caller) -> ObservationList:
        async with database.web_transaction(caller.account_id) as unit:
            rows = (await unit.session.execute(_LATEST, {"account": caller.account_id})).mappings()
            return ObservationList(items=[ObservationView.model_validate(dict(row)) for row in rows])

    return router

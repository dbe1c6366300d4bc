"""What was observed of an account's instances, for the gateway."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import select

from clawdeploy_common.database import Database
from clawdeploy_common.internal import Caller
from clawdeploy_events.health import ChannelHealth, ProcessHealth
from clawdeploy_monitor.models import Watch


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
        query = select(
            Watch.instance_id,
            Watch.process,
            Watch.channel,
            Watch.detail,
            Watch.observed_at,
            Watch.lifecycle_version,
        ).where(Watch.account_id == caller.account_id, Watch.observed_at.is_not(None), Watch.expected != "gone")
        async with database.web_transaction(caller.account_id) as unit:
            rows = (await unit.session.execute(query)).mappings()
            return ObservationList(items=[ObservationView.model_validate(dict(row)) for row in rows])

    return router

"""Internal routes every service answers to the gateway: dead letters and replay. Each needs a signed internal token."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict

from clawdeploy_common.cursors import Page
from clawdeploy_common.dead_letters import DeadLetter
from clawdeploy_common.errors import Forbidden, Unauthorized
from clawdeploy_common.tokens import InternalPass

if TYPE_CHECKING:
    from clawdeploy_common.service import Service


class ReplayResult(BaseModel):
    """What a replay did."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"service": "billing", "events": 1200, "seconds": 0.42}]})

    service: str
    events: int
    seconds: float


def internal_pass(request: Request) -> InternalPass:
    """Who calls; raises Unauthorized without a valid token for this service."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized("an internal token is required")
    service: Service = request.app.state.service
    return service.tokens.verify(token)


def operator_pass(caller: Annotated[InternalPass, Depends(internal_pass)]) -> InternalPass:
    """The same, for what only operators may do; raises Forbidden."""
    if not caller.operator:
        raise Forbidden
    return caller


Caller = Annotated[InternalPass, Depends(internal_pass)]
Operator = Annotated[InternalPass, Depends(operator_pass)]
RouterFactory = Callable[["Service"], APIRouter]


def internal_router(service: "Service") -> APIRouter:
    """Routes under ``/internal``, for operators."""
    router = APIRouter(prefix="/internal", include_in_schema=False)

    @router.get("/dead-letters")
    async def list_dead_letters(
        _: Operator, cursor: str | None = None, limit: Annotated[int, Query(ge=1, le=200)] = 50
    ) -> Page[DeadLetter]:
        return await service.dead_letters.list(cursor=cursor, limit=limit)

    @router.post("/dead-letters/{letter_id}/retry", status_code=204)
    async def retry_dead_letter(_: Operator, letter_id: UUID) -> None:
        await service.dead_letters.retry(letter_id)

    @router.post("/dead-letters/{letter_id}/drop", status_code=204)
    async def drop_dead_letter(_: Operator, letter_id: UUID) -> None:
        await service.dead_letters.drop(letter_id)

    @router.post("/replay")
    async def replay(_: Operator) -> ReplayResult:
        done = await service.replay.run()
        return ReplayResult(service=service.name, events=done.events, seconds=round(done.seconds, 3))

    return router

"""Events: the feed by cursor, the live stream, and the timeline of an instance."""

from typing import Annotated

from fastapi import APIRouter, Header, Request

from clawdeploy_api import event_feed, operation_rows
from clawdeploy_api.authentication import SignedIn, bearer_of
from clawdeploy_api.endpoints.documented import EventStream, InstanceId, Limit, Position, problems
from clawdeploy_api.gateway import TheGateway
from clawdeploy_api.public.event import Event
from clawdeploy_common.cursors import Page, decode_position

router = APIRouter(tags=["events"])


@router.get("/events", responses=problems(), summary="Read the account's events")
async def list_events(
    gateway: TheGateway, person: SignedIn, after: Annotated[str | None, Position] = None, limit: Limit = 100
) -> Page[Event]:
    """In order, from the beginning or after a position; positions have no gaps, internal events are left out."""
    position = decode_position(after)
    async with gateway.database.web_transaction(person.account_id) as unit:
        return await event_feed.page(unit, person.account_id, position, limit=limit)


@router.get("/instances/{instance_id}/timeline", responses=problems(404), summary="Read an instance's events")
async def get_timeline(
    instance_id: InstanceId,
    gateway: TheGateway,
    person: SignedIn,
    limit: Limit = 100,
    cursor: Annotated[str | None, Position] = None,
) -> Page[Event]:
    """What happened to one instance, in order."""
    position = decode_position(cursor, field="cursor")
    async with gateway.database.web_transaction(person.account_id) as unit:
        await operation_rows.require_instance(unit, person.account_id, instance_id)
        return await event_feed.timeline(unit, person.account_id, instance_id, position, limit=limit)


@router.get("/stream", response_class=EventStream, responses=problems(429), summary="Follow the account's events live")
async def follow_events(
    request: Request,
    gateway: TheGateway,
    person: SignedIn,
    last_event_id: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID", pattern=r"^[0-9]{1,18}$", description="resume after this position", examples=["17"]
        ),
    ] = None,
) -> EventStream:
    """Server-sent events: `id` is the position, `event` the type, `data` the event as JSON. Internal ones are here too.

    Begins with what happens from now on, or after `Last-Event-ID`.
    """
    stream, key = gateway.stream, bearer_of(request)
    position = decode_position(last_event_id, field="Last-Event-ID")
    if last_event_id is None:
        position = await stream.position(person.account_id)

    async def still_welcome() -> bool:
        return await gateway.keys.find(key) is not None

    stream.require_place(person.account_id)
    body = stream.follow(person.account_id, position, still_welcome=still_welcome)
    return EventStream(body, headers={"X-Accel-Buffering": "no"})

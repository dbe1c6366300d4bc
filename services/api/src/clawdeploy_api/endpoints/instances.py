"""Instances: make, list, show, change."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from clawdeploy_api import catalogue, changing, creation, instance_rows
from clawdeploy_api.authentication import SignedIn
from clawdeploy_api.context import Context
from clawdeploy_api.endpoints.contexts import acting_context, context_of, reading_context
from clawdeploy_api.endpoints.documented import Cursor, InstanceId, Limit, mutation_problems, problems
from clawdeploy_api.gateway import Gateway, TheGateway
from clawdeploy_api.idempotency import Answer
from clawdeploy_api.instance_rows import Filters
from clawdeploy_api.mutations import TheMutation
from clawdeploy_api.places import places_of
from clawdeploy_api.public.instance import SLUG, ChangeInstance, CreateInstance, Instance
from clawdeploy_api.status import Status
from clawdeploy_common.cursors import Page, decode_id, encode_id
from clawdeploy_common.work import UnitOfWork

router = APIRouter(prefix="/instances", tags=["instances"])

_SCAN = 200
_MAX_SCANS = 10
_Name = Query(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")


@router.post(
    "", status_code=201, response_model=Instance, responses=mutation_problems(403), summary="Create an instance"
)
async def create_instance(body: CreateInstance, mutation: TheMutation) -> Response:
    """Ask for an agent of one's own: it is `pending`, then `creating`, and `running` once it is verified.

    A channel whose token is not given reads `needs_token`; the agent comes up all the same. Its place in the account's quota is
    reserved until it is deleted.
    """
    prices = await mutation.gateway.prices.current()
    context = context_of(mutation, price_version=prices.version)
    places = places_of(mutation.gateway.settings, await mutation.gateway.engines.known())

    async def effect(unit: UnitOfWork) -> Answer:
        instance = await creation.create(unit, context, body, places=places)
        return Answer(status=201, body=instance, location=f"/v1/instances/{instance.id}")

    return await mutation.run(effect, limits=[mutation.gateway.limits.deploys])


@router.get("", responses=problems(), summary="List instances")
async def list_instances(
    *,
    gateway: TheGateway,
    person: SignedIn,
    status: Annotated[Status | None, Query(description="`deleted` lists what is kept of deleted instances")] = None,
    model: Annotated[str | None, _Name] = None,
    channel: Annotated[str | None, _Name] = None,
    provider: Annotated[str | None, _Name] = None,
    slug: Annotated[str | None, Query(pattern=SLUG)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Instance]:
    """The newest first; deleted ones only when asked for."""
    filters = Filters(
        model=catalogue.find_model(model).id if model else None,
        channel=channel,
        provider=provider,
        slug=slug,
        deleted=status == "deleted",
    )
    context = await reading_context(gateway, person)
    return await _page(gateway, context, filters, status=status, before=decode_id(cursor), limit=limit)


async def _page(
    gateway: Gateway, context: Context, filters: Filters, *, status: Status | None, before: UUID | None, limit: int
) -> Page[Instance]:
    """A status is computed, so rows are read until the page is full; a page may be short and still have a next one."""
    items: list[Instance] = []
    size = limit + 1 if status is None else _SCAN
    async with gateway.database.web_transaction(context.account_id) as unit:
        for _ in range(_MAX_SCANS):
            rows = await instance_rows.page(unit, context.account_id, filters, before=before, limit=size)
            for row in rows:
                shown = context.show(row)
                if status is not None and shown.status != status:
                    before = shown.id
                    continue
                if len(items) == limit:
                    return Page(items=items, next_cursor=encode_id(items[-1].id))
                items.append(shown)
                before = shown.id
            if len(rows) < size:
                return Page(items=items)
    return Page(items=items, next_cursor=encode_id(before) if before else None)


@router.get("/{instance_id}", responses=problems(404), summary="Show an instance")
async def get_instance(instance_id: InstanceId, gateway: TheGateway, person: SignedIn) -> Instance:
    """What is wanted, what was told and what was observed, with the time of the observation."""
    context = await reading_context(gateway, person)
    async with gateway.database.web_transaction(person.account_id) as unit:
        return context.show(await instance_rows.get(unit, person.account_id, instance_id))


@router.patch("/{instance_id}", response_model=Instance, responses=mutation_problems(404), summary="Change an instance")
async def change_instance(instance_id: InstanceId, body: ChangeInstance, mutation: TheMutation) -> Response:
    """What is omitted stays. A changed configuration or secret is published as a new version and applied by an operation."""
    context = await acting_context(mutation)

    async def effect(unit: UnitOfWork) -> Answer:
        return Answer(status=200, body=await changing.change(unit, context, instance_id, body))

    return await mutation.run(effect)


@router.delete(
    "/{instance_id}",
    status_code=202,
    response_model=Instance,
    responses=mutation_problems(404),
    summary="Destroy an instance",
)
async def delete_instance(instance_id: InstanceId, mutation: TheMutation) -> Response:
    """Always accepted: what runs is cancelled. The instance is `deleting` until nothing of it is left, then `deleted`."""
    context = await acting_context(mutation)

    async def effect(unit: UnitOfWork) -> Answer:
        return Answer(status=202, body=await changing.act(unit, context, instance_id, "destroy"))

    return await mutation.run(effect)

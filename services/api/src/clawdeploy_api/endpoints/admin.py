"""Operators: dead letters of every service, replays, and the sealing key."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict

from clawdeploy_api.authentication import OperatorSignedIn
from clawdeploy_api.endpoints.documented import Limit, mutation_problems, problems
from clawdeploy_api.forwarding import Target
from clawdeploy_api.gateway import Gateway, TheGateway
from clawdeploy_api.mutations import TheMutation
from clawdeploy_common.cursors import Page
from clawdeploy_common.dead_letters import DeadLetter
from clawdeploy_common.errors import InvalidInput
from clawdeploy_common.internal import ReplayResult

router = APIRouter(prefix="/admin", tags=["admin"])

ServiceName = Literal["api", "provisioner", "monitor", "billing"]
SERVICES: tuple[ServiceName, ...] = ("api", "provisioner", "monitor", "billing")
REPLAY_S = 600.0
_CURSOR = r"^(?:api|provisioner|monitor|billing):(?:[A-Za-z0-9_-]{22})?$"
Service = Annotated[ServiceName, Path(description="a service of the platform", examples=["billing"])]
LetterId = Annotated[UUID, Path(description="id of a dead letter", examples=["01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e05"])]


class Settled(BaseModel):
    """What was done to a dead letter."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"service": "billing", "id": "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e05", "state": "parked"}]
        }
    )

    service: ServiceName
    id: UUID
    state: Literal["parked", "dropped"]


class SealingKeyRotated(BaseModel):
    """The key that secrets are sealed to from now on."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"sealing_key_id": "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e05"}]}
    )

    sealing_key_id: UUID


@router.get("/dead-letters", responses=problems(403), summary="List dead letters")
async def list_dead_letters(
    gateway: TheGateway,
    _: OperatorSignedIn,
    service: Annotated[ServiceName | None, Query(description="only this service's", examples=["billing"])] = None,
    limit: Limit = 50,
    cursor: Annotated[str | None, Query(pattern=_CURSOR, description="`next_cursor` of the page before")] = None,
) -> Page[DeadLetter]:
    """Events that could not be applied, and those that wait behind them: one service after the other, the oldest first."""
    current, inner = _position(cursor, service)
    found = await _letters(gateway, current, cursor=inner, limit=limit)
    if found.next_cursor is not None:
        return Page(items=found.items, next_cursor=f"{current}:{found.next_cursor}")
    items = found.items
    for following in _after(current) if service is None else ():
        if len(items) >= limit:
            return Page(items=items, next_cursor=f"{following}:")
        found = await _letters(gateway, following, cursor=None, limit=limit - len(items))
        items = [*items, *found.items]
        if found.next_cursor is not None:
            return Page(items=items, next_cursor=f"{following}:{found.next_cursor}")
    return Page(items=items)


@router.post(
    "/dead-letters/{service}/{letter_id}/retry", responses=mutation_problems(403, 404), summary="Retry a dead letter"
)
async def retry_dead_letter(
    service: Service, letter_id: LetterId, mutation: TheMutation, _: OperatorSignedIn
) -> Settled:
    """Apply it again as soon as its turn comes, with a fresh count of attempts."""
    gateway = mutation.gateway
    await mutation.note("dead_letter.retry", subject=letter_id, details={"service": service})
    if service == "api":
        await gateway.service.dead_letters.retry(letter_id)
    else:
        await gateway.forwarder.post(_target(service, f"dead-letters/{letter_id}/retry"))
    return Settled(service=service, id=letter_id, state="parked")


@router.post(
    "/dead-letters/{service}/{letter_id}/drop", responses=mutation_problems(403, 404), summary="Drop a dead letter"
)
async def drop_dead_letter(
    service: Service, letter_id: LetterId, mutation: TheMutation, _: OperatorSignedIn
) -> Settled:
    """Skip it for good, replays included, and go on with its key."""
    gateway = mutation.gateway
    await mutation.note("dead_letter.drop", subject=letter_id, details={"service": service})
    if service == "api":
        await gateway.service.dead_letters.drop(letter_id)
    else:
        await gateway.forwarder.post(_target(service, f"dead-letters/{letter_id}/drop"))
    return Settled(service=service, id=letter_id, state="dropped")


@router.post(
    "/services/{service}/replay", responses=mutation_problems(403, 404), summary="Replay a service's projections"
)
async def replay(service: Service, mutation: TheMutation, _: OperatorSignedIn) -> ReplayResult:
    """Throw its read models away and build them again from the log; readers see the old ones until it is done."""
    gateway = mutation.gateway
    await mutation.note("service.replay", subject=mutation.person.account_id, details={"service": service})
    if service == "api":
        done = await gateway.service.replay.run()
        return ReplayResult(service=service, events=done.events, seconds=round(done.seconds, 3))
    return ReplayResult.model_validate(await gateway.forwarder.post(_target(service, "replay", timeout_s=REPLAY_S)))


@router.post("/sealing-keys/rotate", responses=mutation_problems(403), summary="Rotate the sealing key")
async def rotate_sealing_key(mutation: TheMutation, _: OperatorSignedIn) -> SealingKeyRotated:
    """Seal new secrets to a new key from now on; those there are get sealed again to it, and the old key goes after the last."""
    await mutation.note("sealing_key.rotate", subject=mutation.person.account_id, details={"service": "provisioner"})
    target = _target("provisioner", "operator/sealing-keys/rotate")
    return SealingKeyRotated.model_validate(await mutation.gateway.forwarder.post(target))


async def _letters(gateway: Gateway, service: ServiceName, *, cursor: str | None, limit: int) -> Page[DeadLetter]:
    if service == "api":
        return await gateway.service.dead_letters.list(cursor=cursor, limit=limit)
    target = _target(service, "dead-letters", query={"cursor": cursor, "limit": limit})
    return Page[DeadLetter].model_validate(await gateway.forwarder.get(target))


def _target(
    service: ServiceName, path: str, *, query: dict[str, str | int | None] | None = None, timeout_s: float = 10.0
) -> Target:
    return Target(
        service=service,
        path=f"/internal/{path}",
        account_id=None,
        operator=True,
        query=query or {},
        timeout_s=timeout_s,
    )


def _position(cursor: str | None, service: ServiceName | None) -> tuple[ServiceName, str | None]:
    """Which service a cursor is in, and where; raises InvalidInput."""
    if cursor is None:
        return service or SERVICES[0], None
    name, _, inner = cursor.partition(":")
    for known in SERVICES:
        if known == name and service in (None, known):
            return known, inner or None
    raise InvalidInput("cursor", "is not a cursor of this list; take next_cursor from the page before")


def _after(service: ServiceName) -> tuple[ServiceName, ...]:
    return SERVICES[SERVICES.index(service) + 1 :]

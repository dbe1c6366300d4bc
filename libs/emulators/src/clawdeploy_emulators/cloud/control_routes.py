"""What no cloud has: the health of the stand-in, its faults, what is sold out, and its books."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header
from pydantic import BaseModel, ConfigDict

from clawdeploy_emulators.cloud.billing import bill
from clawdeploy_emulators.cloud.context import InCloud, InWork, shows_token
from clawdeploy_emulators.cloud.refusals import Refusal
from clawdeploy_emulators.cloud.work import SOLD_OUT
from clawdeploy_emulators.faults import Fault


class SoldOut(BaseModel):
    """A plan that cannot be ordered at a place; `*` is every plan."""

    model_config = ConfigDict(extra="forbid")

    place: str
    plan: str = "*"


def operator(cloud: InCloud, authorization: Annotated[str, Header()] = "") -> None:
    """Let only the holder of the account's secret pass."""
    if not shows_token(cloud, authorization):
        raise Refusal(401, "unauthorized", "the stand-in's own endpoints need the account's secret as bearer token")


health_router = APIRouter()
router = APIRouter(prefix="/_emulator", dependencies=[Depends(operator)])


@health_router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Alive."""
    return {"status": "ok"}


@router.put("/faults")
async def switch_faults_on(faults: list[Fault], cloud: InCloud) -> dict[str, list[Fault]]:
    """Replace the faults that are on."""
    cloud.faults.replace(faults)
    return {"faults": cloud.faults.pending()}


@router.get("/faults")
async def list_faults(cloud: InCloud) -> dict[str, list[Fault]]:
    """Faults with strikes left."""
    return {"faults": cloud.faults.pending()}


@router.delete("/faults")
async def switch_faults_off(cloud: InCloud) -> dict[str, list[Fault]]:
    """Heal."""
    cloud.faults.replace([])
    return {"faults": []}


@router.delete("/endless", status_code=HTTPStatus.NO_CONTENT)
async def end_endless(work: InWork) -> None:
    """Have every action that never ends come to its end, as the provider's support would."""
    work.actions.end_endless()


@router.put("/sold-out")
async def sell_out(entries: list[SoldOut], work: InWork) -> list[SoldOut]:
    """Replace what is sold out; it survives a restart."""
    for entry in work.documents.all(SOLD_OUT):
        work.documents.remove(SOLD_OUT, entry["id"])
    for entry in entries:
        work.documents.add(SOLD_OUT, {"id": work.documents.next_id(), **entry.model_dump()})
    return entries


@router.get("/bill")
async def get_bill(cloud: InCloud, work: InWork) -> dict[str, Any]:
    """What the provider would charge until now, net of taxes, by its own rounding."""
    settings = cloud.settings
    return bill(work.rentals.all(), currency=settings.currency, charge=settings.charge, now=work.now)

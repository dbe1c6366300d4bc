"""What the real thing does not have: the health of the stand-in, its faults, and its books to the nano-dollar."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends

from clawdeploy_emulators.faults import Fault
from clawdeploy_emulators.openrouter.context import InContext, manager
from clawdeploy_emulators.openrouter.money import NANOS_PER_MICRO
from clawdeploy_emulators.store import stamp

health_router = APIRouter()
router = APIRouter(prefix="/_emulator", dependencies=[Depends(manager)])


@health_router.get("/healthz")
def healthz() -> dict[str, str]:
    """Alive."""
    return {"status": "ok"}


@router.put("/faults")
def switch_faults_on(faults: list[Fault], context: InContext) -> dict[str, list[Fault]]:
    """Replace the faults that are on."""
    context.faults.replace(faults)
    return {"faults": context.faults.pending()}


@router.get("/faults")
def list_faults(context: InContext) -> dict[str, list[Fault]]:
    """Faults with strikes left."""
    return {"faults": context.faults.pending()}


@router.delete("/faults")
def switch_faults_off(context: InContext) -> dict[str, list[Fault]]:
    """Heal."""
    context.faults.replace([])
    return {"faults": []}


@router.get("/usage")
def billed(context: InContext) -> dict[str, Any]:
    """What was billed to every key ever made.

    `cost_nanos` is exact; `cost_micros` is its whole micro-dollars, rounded down, as a reader of the cumulative figure
    books them.
    """
    lines = [{**asdict(line), "cost_micros": line.cost_nanos // NANOS_PER_MICRO} for line in context.ledger.billed()]
    total = sum(line["cost_nanos"] for line in lines)
    return {
        "currency": "USD",
        "as_of": stamp(context.now()),
        "keys": lines,
        "total_nanos": total,
        "total_micros": total // NANOS_PER_MICRO,
    }

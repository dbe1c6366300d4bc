"""/firewalls: rules for Droplets, by number or tag. What is not permitted is blocked, outbound too."""

import uuid
from typing import Any

from fastapi import APIRouter, status
from pydantic import BaseModel, Field

from clawdeploy_emulators.cloud.context import InWork
from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.refusals import Refusal
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.digitalocean.context import moment
from clawdeploy_emulators.digitalocean.errors import not_found, unprocessable
from clawdeploy_emulators.digitalocean.firewall_rules import Inbound, Outbound
from clawdeploy_emulators.digitalocean.listing import Asked
from clawdeploy_emulators.digitalocean.tags import Tag, ensure_tag

router = APIRouter(prefix="/firewalls")
Json = dict[str, Any]
KIND = "firewall"


class Firewall(BaseModel):
    """A firewall as it is to be; a change gives it whole."""

    name: str = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9.-]+$", max_length=255)
    inbound_rules: list[Inbound] | None = []
    outbound_rules: list[Outbound] | None = []
    droplet_ids: list[int] | None = []
    tags: list[Tag] | None = []


class Droplets(BaseModel):
    """Droplets to guard, or to guard no longer."""

    droplet_ids: list[int]


@router.post("", status_code=status.HTTP_202_ACCEPTED)
async def create_firewall(new: Firewall, work: InWork) -> Json:
    """Make a firewall; its name is unique in the account."""
    _refuse_twin(work, new.name, but=None)
    firewall = {"id": str(uuid.uuid4()), "created_at": moment(work.now), **_contents(new, work)}
    work.documents.add(KIND, firewall)
    work.begin("apply", of=(KIND, firewall["id"]))
    return {"firewall": _published(firewall, work)}


@router.get("")
async def list_firewalls(asked: Asked, work: InWork) -> Json:
    """The firewalls of the account."""
    return asked.answer("firewalls", work.seen([_published(each, work) for each in work.documents.all(KIND)]))


@router.get("/{firewall_id}")
async def get_firewall(firewall_id: str, work: InWork) -> Json:
    """One firewall."""
    return {"firewall": _published(_known(work, firewall_id), work)}


@router.put("/{firewall_id}")
async def replace_firewall(firewall_id: str, new: Firewall, work: InWork) -> Json:
    """Replace everything a firewall says."""
    known = _known(work, firewall_id)
    _refuse_twin(work, new.name, but=firewall_id)
    firewall = {**known, **_contents(new, work)}
    work.documents.put(KIND, firewall)
    return {"firewall": _published(firewall, work)}


@router.delete("/{firewall_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_firewall(firewall_id: str, work: InWork) -> None:
    """Forget a firewall, whatever it guards."""
    _known(work, firewall_id)
    work.documents.remove(KIND, firewall_id)


@router.post("/{firewall_id}/droplets", status_code=status.HTTP_204_NO_CONTENT)
async def guard(firewall_id: str, asked: Droplets, work: InWork) -> None:
    """Guard more Droplets."""
    firewall = _known(work, firewall_id)
    _check_droplets(work, asked.droplet_ids)
    work.documents.put(KIND, {**firewall, "droplet_ids": sorted({*firewall["droplet_ids"], *asked.droplet_ids})})


@router.delete("/{firewall_id}/droplets", status_code=status.HTTP_204_NO_CONTENT)
async def unguard(firewall_id: str, asked: Droplets, work: InWork) -> None:
    """Guard fewer Droplets."""
    firewall = _known(work, firewall_id)
    left = [number for number in firewall["droplet_ids"] if number not in asked.droplet_ids]
    work.documents.put(KIND, {**firewall, "droplet_ids": left})


def forget_droplet(work: Work, droplet_id: int) -> None:
    """Take a Droplet that is gone out of every firewall."""
    for firewall in work.documents.all(KIND):
        left = [number for number in firewall["droplet_ids"] if number != droplet_id]
        work.documents.put(KIND, {**firewall, "droplet_ids": left})


def _contents(new: Firewall, work: Work) -> Json:
    if not new.inbound_rules and not new.outbound_rules:
        raise unprocessable("must specify at least one rule")
    _check_droplets(work, new.droplet_ids or [])
    return {
        "name": new.name,
        "inbound_rules": [rule.published() for rule in new.inbound_rules or []],
        "outbound_rules": [rule.published() for rule in new.outbound_rules or []],
        "droplet_ids": new.droplet_ids or [],
        "tags": [ensure_tag(work, tag) for tag in new.tags or []],
    }


def _published(firewall: Document, work: Work) -> Json:
    waiting = work.actions.busy(KIND, firewall["id"])
    changes = [{"droplet_id": number, "removing": False, "status": "waiting"} for number in firewall["droplet_ids"]]
    return {
        **firewall,
        "status": "waiting" if waiting else "succeeded",
        "pending_changes": changes if waiting else [],
    }


def _check_droplets(work: Work, numbers: list[int]) -> None:
    if any(work.documents.find("droplet", number) is None for number in numbers):
        raise unprocessable("invalid droplet_ids")


def _refuse_twin(work: Work, name: str, *, but: str | None) -> None:
    if any(each["name"] == name and each["id"] != but for each in work.documents.all(KIND)):
        raise Refusal(409, "conflict", "duplicate name")


def _known(work: Work, firewall_id: str) -> Document:
    firewall = work.documents.find(KIND, firewall_id)
    if firewall is None:
        raise not_found()
    return firewall

"""/v2/iam/resource: tags on VPS, the only labels there are."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from clawdeploy_emulators.cloud.context import InWork
from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.ovh.errors import not_found
from clawdeploy_emulators.ovh.servers import KIND, known_vps, published_vps, urn

router = APIRouter(prefix="/iam/resource")


class NewTag(BaseModel):
    """A tag to put on a resource."""

    key: str = Field(min_length=1, max_length=128)
    value: str = Field(max_length=256)


@router.get("")
async def list_resources(work: InWork, resourceType: str = "vps") -> list[dict[str, Any]]:  # noqa: N803  the API's name
    """Every resource of a type, with its tags."""
    found = work.documents.all(KIND) if resourceType == "vps" else []
    return work.seen([_published(vps) for vps in found])


@router.post("/{name}/tag")
async def tag(name: str, new: NewTag, work: InWork) -> None:
    """Put a tag on a resource, or change its value."""
    vps = _known(work, name)
    work.documents.put(KIND, {**vps, "tags": {**vps["tags"], new.key: new.value}})


@router.delete("/{name}/tag/{key}")
async def untag(name: str, key: str, work: InWork) -> None:
    """Take a tag off a resource."""
    vps = _known(work, name)
    if key not in vps["tags"]:
        raise not_found(f"tag = {key}")
    work.documents.put(KIND, {**vps, "tags": {known: value for known, value in vps["tags"].items() if known != key}})


def _known(work: Work, name: str) -> Document:
    return known_vps(work, name.rpartition(":")[2])


def _published(vps: Document) -> dict[str, Any]:
    iam = published_vps(vps)["iam"]
    return {
        "id": iam["id"],
        "urn": urn(vps),
        "name": vps["id"],
        "displayName": vps["displayName"],
        "type": "vps",
        "owner": "xx1111-ovh",
        "tags": vps["tags"],
    }

"""/tags: names that Droplets carry."""

from typing import Any, Literal

from fastapi import APIRouter, status
from pydantic import BaseModel

from clawdeploy_emulators.cloud.context import InWork
from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.digitalocean.errors import not_found
from clawdeploy_emulators.digitalocean.listing import Asked
from clawdeploy_emulators.digitalocean.tags import DROPLET, KIND, Tag, ensure_tag, has_tag, published_tag

router = APIRouter(prefix="/tags")
Json = dict[str, Any]


class NewTag(BaseModel):
    """A tag to make."""

    name: Tag


class Resource(BaseModel):
    """Something to tag."""

    resource_id: str
    resource_type: Literal["droplet"]


class Resources(BaseModel):
    """Things to tag, or to tag no longer."""

    resources: list[Resource]


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_tag(new: NewTag, work: InWork) -> Json:
    """Make a tag; one that exists is given as it is."""
    ensure_tag(work, new.name)
    return {"tag": published_tag(_known(work, new.name), work)}


@router.get("")
async def list_tags(asked: Asked, work: InWork) -> Json:
    """The tags of the account."""
    return asked.answer("tags", work.seen([published_tag(tag, work) for tag in work.documents.all(KIND)]))


@router.get("/{name}")
async def get_tag(name: str, work: InWork) -> Json:
    """One tag."""
    return {"tag": published_tag(_known(work, name), work)}


@router.delete("/{name}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_tag(name: str, work: InWork) -> None:
    """Take a tag off everything and forget it."""
    _known(work, name)
    for droplet in work.documents.all(DROPLET):
        _untag(work, droplet, name)
    work.documents.remove(KIND, name.lower())


@router.post("/{name}/resources", status_code=status.HTTP_204_NO_CONTENT)
async def tag_resources(name: str, asked: Resources, work: InWork) -> None:
    """Put a tag on Droplets."""
    written = _known(work, name)["name"]
    for droplet in _droplets(work, asked):
        if not has_tag(droplet, name):
            work.documents.put(DROPLET, {**droplet, "tags": [*droplet["tags"], written]})


@router.delete("/{name}/resources", status_code=status.HTTP_204_NO_CONTENT)
async def untag_resources(name: str, asked: Resources, work: InWork) -> None:
    """Take a tag off Droplets."""
    _known(work, name)
    for droplet in _droplets(work, asked):
        _untag(work, droplet, name)


def _known(work: Work, name: str) -> Document:
    tag = work.documents.find(KIND, name.lower())
    if tag is None:
        raise not_found()
    return tag


def _droplets(work: Work, asked: Resources) -> list[Document]:
    found = [work.documents.find(DROPLET, resource.resource_id) for resource in asked.resources]
    if any(droplet is None for droplet in found):
        raise not_found()
    return [droplet for droplet in found if droplet is not None]


def _untag(work: Work, droplet: Document, name: str) -> None:
    left = [tag for tag in droplet["tags"] if tag.lower() != name.lower()]
    work.documents.put(DROPLET, {**droplet, "tags": left})

"""/droplets/{id}/actions and /actions: what is done with Droplets, and how far it is."""

from typing import Any, Literal

from fastapi import APIRouter, status
from pydantic import BaseModel

from clawdeploy_emulators.cloud.actions import Action
from clawdeploy_emulators.cloud.context import InWork
from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.digitalocean import catalogue
from clawdeploy_emulators.digitalocean.context import published_action
from clawdeploy_emulators.digitalocean.droplets import KIND, free_droplet, known_droplet
from clawdeploy_emulators.digitalocean.errors import not_found, unprocessable
from clawdeploy_emulators.digitalocean.listing import Asked

router = APIRouter()
Json = dict[str, Any]
HIDDEN = {"destroy"}


class NewAction(BaseModel):
    """Something to do with a Droplet, and what that verb needs beside it."""

    type: Literal["power_on", "power_off", "shutdown", "reboot", "power_cycle", "rebuild", "resize", "rename"]
    image: str | int | None = None
    size: str | None = None
    disk: bool = False
    name: str | None = None


@router.post("/droplets/{droplet_id}/actions", status_code=status.HTTP_201_CREATED)
async def begin_action(droplet_id: int, asked: NewAction, work: InWork) -> Json:
    """Begin to do something with a Droplet."""
    droplet = free_droplet(work, droplet_id)
    needed = _needed(asked, droplet)
    action = work.begin(asked.type, of=(KIND, droplet_id), before=droplet["status"], region=droplet["region"], **needed)
    return {"action": published_action(action, work)}


@router.get("/droplets/{droplet_id}/actions")
async def list_droplet_actions(droplet_id: int, asked: Asked, work: InWork) -> Json:
    """What was done with a Droplet."""
    known_droplet(work, droplet_id)
    published = [published_action(action, work) for action in work.actions.of(KIND, droplet_id) if _shown(action)]
    return asked.answer("actions", work.seen(published))


@router.get("/droplets/{droplet_id}/actions/{action_id}")
async def get_droplet_action(droplet_id: int, action_id: int, work: InWork) -> Json:
    """One action of a Droplet."""
    action = _known(work, action_id)
    if action.resource_id != str(droplet_id):
        raise not_found()
    return {"action": published_action(action, work)}


@router.get("/actions/{action_id}")
async def get_action(action_id: int, work: InWork) -> Json:
    """One action."""
    return {"action": published_action(_known(work, action_id), work)}


def _known(work: Work, action_id: int) -> Action:
    action = work.actions.find(action_id)
    if action is None or not _shown(action):
        raise not_found()
    return action


def _shown(action: Action) -> bool:
    return action.resource_kind == KIND and action.command not in HIDDEN


def _needed(asked: NewAction, droplet: Document) -> Json:
    match asked.type:
        case "rebuild":
            image = catalogue.image_of(asked.image)
            if image is None:
                raise unprocessable("Image is needed, and must be known.")
            return {"image": image.id}
        case "resize":
            if asked.size is None or catalogue.size_of(asked.size) is None:
                raise unprocessable("Size is needed, and must be known.")
            if droplet["status"] != "off":
                raise unprocessable("Droplet must be powered off.")
            return {"size": asked.size}
        case "rename":
            if not asked.name:
                raise unprocessable("Name is needed.")
            return {"name": asked.name}
        case "power_on":
            if droplet["status"] == "active":
                raise unprocessable("Droplet is already powered on.")
            return {}
        case _:
            return {}

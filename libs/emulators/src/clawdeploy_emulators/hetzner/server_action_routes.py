"""/servers/{id}/actions: power, rebuild, resize, rescue, protection."""

import secrets
from typing import Any, Literal

from fastapi import APIRouter, status
from pydantic import BaseModel

from clawdeploy_emulators.cloud.context import InWork
from clawdeploy_emulators.cloud.refusals import Refusal
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.hetzner import catalogue
from clawdeploy_emulators.hetzner.context import published_action
from clawdeploy_emulators.hetzner.errors import invalid_input
from clawdeploy_emulators.hetzner.new_server import UserData
from clawdeploy_emulators.hetzner.servers import KIND, free_server

router = APIRouter(prefix="/servers/{server_id}/actions")
Json = dict[str, Any]

Power = Literal["poweron", "poweroff", "shutdown", "reboot", "reset"]
POWER: dict[Power, tuple[str, str]] = {
    "poweron": ("start_server", "starting"),
    "poweroff": ("stop_server", "stopping"),
    "shutdown": ("shutdown_server", "running"),
    "reboot": ("reboot_server", "running"),
    "reset": ("reset_server", "running"),
}


class Rebuild(BaseModel):
    """The system to install anew; without user data the old ones are used again."""

    image: str | int
    user_data: UserData | None = None


class TypeChange(BaseModel):
    """The size a server is to have."""

    server_type: str | int
    upgrade_disk: bool


class Protection(BaseModel):
    """What a server is protected from."""

    delete: bool | None = None
    rebuild: bool | None = None


@router.post("/rebuild", status_code=status.HTTP_201_CREATED)
async def rebuild(server_id: int, asked: Rebuild, work: InWork) -> Json:
    """Install a system anew on an empty disk."""
    server = free_server(work, server_id)
    if server["protection"]["rebuild"]:
        raise Refusal(423, "protected", "server is protected from rebuild")
    item = catalogue.server_type(server["type"])
    image = catalogue.image(asked.image, architecture=item.architecture if item else "")
    if image is None:
        raise invalid_input("image", "image not found")
    user_data = server["user_data"] if asked.user_data is None else asked.user_data
    work.documents.change(KIND, server_id, status="rebuilding", image=image.id, user_data=user_data)
    action = work.begin("rebuild_server", of=(KIND, server_id))
    password = None if server["keys"] else secrets.token_urlsafe(15)
    return {"root_password": password, "action": published_action(action, work.now)}


@router.post("/change_type", status_code=status.HTTP_201_CREATED)
async def change_type(server_id: int, asked: TypeChange, work: InWork) -> Json:
    """Give a server that is off another size."""
    server, item = free_server(work, server_id), catalogue.server_type(asked.server_type)
    if item is None:
        raise invalid_input("server_type", "server type not found")
    if server["status"] != "off":
        raise Refusal(422, "server_not_stopped", "server must be off")
    if server["place"] not in item.places or item.disk < server["disk"]:
        raise Refusal(422, "invalid_server_type", "server type does not fit the server")
    return _begin(work, server_id, "change_server_type", type=item.name, upgrade_disk=asked.upgrade_disk)


@router.post("/enable_rescue", status_code=status.HTTP_201_CREATED)
async def enable_rescue(server_id: int, work: InWork) -> Json:
    """Boot into the rescue system next time."""
    free_server(work, server_id)
    return {"root_password": secrets.token_urlsafe(15), **_begin(work, server_id, "enable_rescue")}


@router.post("/disable_rescue", status_code=status.HTTP_201_CREATED)
async def disable_rescue(server_id: int, work: InWork) -> Json:
    """Boot from the disk next time."""
    free_server(work, server_id)
    return _begin(work, server_id, "disable_rescue")


@router.post("/change_protection", status_code=status.HTTP_201_CREATED)
async def change_protection(server_id: int, asked: Protection, work: InWork) -> Json:
    """Protect a server from deletion and rebuild, or no longer."""
    server = free_server(work, server_id)
    protection = {**server["protection"], **asked.model_dump(exclude_none=True)}
    work.documents.change(KIND, server_id, protection=protection)
    return _begin(work, server_id, "change_protection")


@router.post("/{verb}", status_code=status.HTTP_201_CREATED)
async def power(server_id: int, verb: Power, work: InWork) -> Json:
    """Switch a server on or off, hard or by asking its system."""
    server = free_server(work, server_id)
    command, meanwhile = POWER[verb]
    if server["status"] in {"running", "off"} and meanwhile != "running":
        work.documents.change(KIND, server_id, status=meanwhile)
    return _begin(work, server_id, command, before=server["status"])


def _begin(work: Work, server_id: int, command: str, **details: Any) -> Json:
    action = work.begin(command, of=(KIND, server_id), **details)
    return {"action": published_action(action, work.now)}

"""/servers: create, list, look at, rename, delete."""

import secrets
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, status
from pydantic import BaseModel

from clawdeploy_emulators.cloud.context import InWork
from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.refusals import Refusal
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.hetzner.context import InSettings, moment, published_action
from clawdeploy_emulators.hetzner.errors import not_unique
from clawdeploy_emulators.hetzner.firewalls import apply_to_server, known_firewall
from clawdeploy_emulators.hetzner.labels import ValidLabels
from clawdeploy_emulators.hetzner.listing import Asked
from clawdeploy_emulators.hetzner.new_server import Choice, Hostname, NewServer, choose
from clawdeploy_emulators.hetzner.servers import (
    KIND,
    deletable_server,
    known_server,
    published_server,
    rent,
    visible_servers,
)

router = APIRouter(prefix="/servers")
Json = dict[str, Any]


class ServerChange(BaseModel):
    """What of a server is changed; labels replace the whole set."""

    name: Hostname | None = None
    labels: ValidLabels | None = None


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_server(new: NewServer, work: InWork, settings: InSettings) -> Json:
    """Order a server. It is in the books from now on, whatever becomes of its actions."""
    server = _document(new, choose(new, work, server_limit=settings.server_limit), work)
    work.documents.add(KIND, server)
    rent(work, server)
    for wanted in new.firewalls:
        apply_to_server(work, known_firewall(work, wanted.firewall), server["id"])
    creating = work.begin("create_server", of=(KIND, server["id"]), start=new.start_after_create)
    following = [work.begin("start_server", of=(KIND, server["id"]), after=creating)] if new.start_after_create else []
    return {
        "server": published_server(server, work),
        "action": published_action(creating, work.now),
        "next_actions": [published_action(action, work.now) for action in following],
        "root_password": None if new.ssh_keys else secrets.token_urlsafe(15),
    }


@router.get("")
async def list_servers(
    asked: Asked,
    work: InWork,
    settings: InSettings,
    statuses: Annotated[list[str] | None, Query(alias="status")] = None,
) -> Json:
    """The servers of the project."""
    servers = visible_servers(work, after_seconds=settings.visibility_seconds)
    wanted = [server for server in servers if not statuses or server["status"] in statuses]
    return asked.answer("servers", [published_server(server, work) for server in work.seen(wanted)])


@router.get("/{server_id}")
async def get_server(server_id: int, work: InWork) -> Json:
    """One server."""
    return {"server": published_server(known_server(work, server_id), work)}


@router.put("/{server_id}")
async def change_server(server_id: int, change: ServerChange, work: InWork) -> Json:
    """Rename a server or replace its labels."""
    server = known_server(work, server_id)
    if any(other["name"] == change.name and other["id"] != server_id for other in work.documents.all(KIND)):
        raise not_unique("server", "name")
    changed = {**server, **change.model_dump(exclude_none=True)}
    work.documents.put(KIND, changed)
    return {"server": published_server(changed, work)}


@router.delete("/{server_id}")
async def delete_server(server_id: int, work: InWork) -> Json:
    """Give a server back; it is there, and billed, until the action has succeeded."""
    server = deletable_server(work, server_id)
    if server["protection"]["delete"]:
        raise Refusal(423, "protected", "server is protected from deletion")
    work.documents.change(KIND, server_id, status="deleting")
    action = work.begin("delete_server", of=(KIND, server_id), before=server["status"])
    return {"action": published_action(action, work.now)}


@router.get("/{server_id}/actions")
async def list_server_actions(server_id: int, asked: Asked, work: InWork) -> Json:
    """What was done with a server."""
    known_server(work, server_id)
    published = [published_action(action, work.now) for action in work.actions.of(KIND, server_id)]
    return asked.answer("actions", work.seen(published))


@router.get("/{server_id}/metrics")
async def get_metrics(
    server_id: int,
    *,
    work: InWork,
    types: Annotated[str, Query(alias="type")],
    start: datetime,
    end: datetime,
    step: Annotated[int, Query(ge=1)] = 60,
) -> Json:
    """Flat lines: nobody measures a machine from here."""
    known_server(work, server_id)
    times = range(int(start.timestamp()), int(min(end, start + timedelta(seconds=500 * step)).timestamp()), step)
    series = {name: {"values": [[at, "0"] for at in times]} for name in _series(types)}
    return {"metrics": {"start": moment(start), "end": moment(end), "step": step, "time_series": series}}


def _series(types: str) -> list[str]:
    known: dict[Literal["cpu", "disk", "network"], list[str]] = {
        "cpu": ["cpu"],
        "disk": ["disk.0.iops.read", "disk.0.iops.write"],
        "network": ["network.0.bandwidth.in", "network.0.bandwidth.out"],
    }
    return [series for name, names in known.items() if name in types.split(",") for series in names]


def _document(new: NewServer, choice: Choice, work: Work) -> Document:
    number, next_id = work.documents.next_id(), work.documents.next_id
    wanted = new.public_net
    return {
        "id": number,
        "name": new.name,
        "labels": new.labels,
        "created": moment(work.now),
        "status": "initializing",
        "type": choice.item.name,
        "place": choice.place,
        "image": choice.image.id,
        "user_data": new.user_data,
        "keys": choice.key_ids,
        "ipv4": work.free_address(KIND) if wanted.enable_ipv4 else None,
        "ipv4_id": next_id(),
        "ipv6": f"2001:db8:{number // 65536:x}:{number % 65536:x}::/64" if wanted.enable_ipv6 else None,
        "ipv6_id": next_id(),
        "rescue": False,
        "protection": {"delete": False, "rebuild": False},
        "disk": choice.item.disk,
        "booted": False,
    }

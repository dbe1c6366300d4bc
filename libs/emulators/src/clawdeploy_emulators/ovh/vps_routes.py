"""/vps: the servers, what is done with them, and the contracts behind them."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from clawdeploy_emulators.cloud.actions import Action
from clawdeploy_emulators.cloud.context import InWork
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.ovh import catalogue
from clawdeploy_emulators.ovh.context import InSettings, published_task
from clawdeploy_emulators.ovh.effects import POWER
from clawdeploy_emulators.ovh.errors import bad_request, not_found
from clawdeploy_emulators.ovh.servers import KIND, free_vps, known_vps, published_service, published_vps

router = APIRouter(prefix="/vps")
Json = dict[str, Any]
Power = Literal["start", "stop", "reboot"]
TASKS: dict[Power, tuple[str, str]] = {
    "start": ("startVm", "rebooting"),
    "stop": ("stopVm", "stopping"),
    "reboot": ("rebootVm", "rebooting"),
}


class VpsChange(BaseModel):
    """What of a VPS is changed."""

    displayName: str | None = None  # noqa: N815  the API's name
    keymap: Literal["fr", "us"] | None = None
    netbootMode: Literal["local", "rescue"] | None = None  # noqa: N815  the API's name
    slaMonitoring: bool | None = None  # noqa: N815  the API's name


class Rebuild(BaseModel):
    """The system to install anew, and the key it is to let in."""

    imageId: str  # noqa: N815  the API's name
    publicSshKey: str | None = None  # noqa: N815  the API's name
    sshKey: str | None = None  # noqa: N815  the API's name
    doNotSendPassword: bool = False  # noqa: N815  the API's name
    installRTM: bool = False  # noqa: N815  the API's name


class Renew(BaseModel):
    """Whether and how a contract goes on."""

    automatic: bool
    deleteAtExpiration: bool  # noqa: N815  the API's name
    forced: bool
    manualPayment: bool | None = None  # noqa: N815  the API's name
    period: int | None = None


class ServiceChange(BaseModel):
    """A contract as it was read, with another renewal."""

    model_config = ConfigDict(extra="ignore")

    renew: Renew


@router.get("")
async def list_vps(work: InWork, settings: InSettings) -> list[str]:
    """The names of the account's VPS."""
    youngest = work.now - timedelta(seconds=settings.visibility_seconds)
    known = work.documents.all(KIND)
    return work.seen([vps["id"] for vps in known if datetime.fromisoformat(vps["delivered"]) <= youngest])


@router.get("/{name}")
async def get_vps(name: str, work: InWork) -> Json:
    """One VPS."""
    return published_vps(known_vps(work, name))


@router.put("/{name}")
async def change_vps(name: str, change: VpsChange, work: InWork) -> None:
    """Rename a VPS, or set its keyboard, boot mode or monitoring."""
    work.documents.put(KIND, {**known_vps(work, name), **change.model_dump(exclude_none=True)})


@router.get("/{name}/ips")
async def list_ips(name: str, work: InWork) -> list[str]:
    """Its addresses."""
    vps = known_vps(work, name)
    return [vps["ipv4"], vps["ipv6"]]


@router.get("/{name}/ips/{address}")
async def get_ip(name: str, address: str, work: InWork) -> Json:
    """One address."""
    vps = known_vps(work, name)
    if address not in {vps["ipv4"], vps["ipv6"]}:
        raise not_found(f"ipAddress = {address}")
    version = "v4" if address == vps["ipv4"] else "v6"
    gateway = "127.66.0.1" if version == "v4" else None
    return {
        "ipAddress": address,
        "version": version,
        "type": "primary",
        "gateway": gateway,
        "geolocation": "fr",
        "macAddress": None,
        "reverse": name,
    }


@router.get("/{name}/images/available")
async def list_images(name: str, work: InWork) -> list[str]:
    """The numbers of the systems that can be installed."""
    known_vps(work, name)
    return work.seen([catalogue.image_id(system) for system in catalogue.SYSTEMS])


@router.get("/{name}/images/available/{image_id}")
async def get_image(name: str, image_id: str, work: InWork) -> Json:
    """One system."""
    known_vps(work, name)
    return {"id": image_id, "name": _system(image_id)}


@router.get("/{name}/images/current")
async def get_current_image(name: str, work: InWork) -> Json:
    """The system that is installed."""
    system = known_vps(work, name)["system"]
    return {"id": catalogue.image_id(system), "name": system}


@router.post("/{name}/rebuild")
async def rebuild(name: str, asked: Rebuild, work: InWork) -> Json:
    """Install a system anew on an empty disk."""
    vps = free_vps(work, name)
    system = _system(asked.imageId)
    key = asked.publicSshKey
    if asked.sshKey is not None:
        stored = work.documents.find("ssh_key", asked.sshKey)
        key = stored["key"] if stored else None
        if key is None:
            raise not_found(f"sshKey = {asked.sshKey}")
    POWER.begin_rebuild(work, vps)
    work.documents.change(KIND, name, status="installing", system=system, public_key=key)
    return _begin(work, name, "reinstallVm", before=vps["status"])


@router.get("/{name}/tasks")
async def list_tasks(
    name: str,
    work: InWork,
    settings: InSettings,
    state: Annotated[str | None, Query()] = None,
    kind: Annotated[str | None, Query(alias="type")] = None,
) -> list[int]:
    """The numbers of its tasks; a new one may be missing for a while."""
    known_vps(work, name)
    youngest = work.now - timedelta(seconds=settings.visibility_seconds)
    tasks = [task for task in work.actions.of(KIND, name) if task.starts_at <= youngest]
    shown = [(task, published_task(task, work.now)) for task in tasks]
    return work.seen(
        [task.id for task, seen in shown if state in {None, seen["state"]} and kind in {None, seen["type"]}]
    )


@router.get("/{name}/tasks/{task_id}")
async def get_task(name: str, task_id: int, work: InWork) -> Json:
    """One task."""
    task = work.actions.find(task_id)
    if task is None or (task.resource_kind, task.resource_id) != (KIND, name):
        raise not_found(f"id = {task_id}")
    return published_task(task, work.now)


@router.get("/{name}/serviceInfos")
async def get_service(name: str, work: InWork) -> Json:
    """The contract behind it."""
    return published_service(known_vps(work, name))


@router.put("/{name}/serviceInfos")
async def change_service(name: str, change: ServiceChange, work: InWork, settings: InSettings) -> None:
    """Let the contract end at its expiration, or go on; the server stays, and stays paid, until then."""
    vps = known_vps(work, name)
    if work.now < datetime.fromisoformat(vps["ordered"]) + timedelta(seconds=settings.activation_seconds):
        raise bad_request("Subscription is not active yet")
    work.documents.put(KIND, {**vps, "renew": change.renew.model_dump()})


@router.post("/{name}/{verb}")
async def power(name: str, verb: Power, work: InWork) -> Json:
    """Switch a VPS on or off, or off and on."""
    vps = free_vps(work, name)
    command, meanwhile = TASKS[verb]
    if (verb == "start") == (vps["status"] == "running"):
        raise bad_request(f"VPS is {vps['status']}")
    work.documents.change(KIND, name, status=meanwhile)
    return _begin(work, name, command, before=vps["status"])


def _system(image_id: str) -> str:
    system = catalogue.system_of(image_id)
    if system is None:
        raise not_found(f"imageId = {image_id}")
    return system


def _begin(work: Work, name: str, command: str, **details: Any) -> Json:
    task: Action = work.begin(command, of=(KIND, name), **details)
    return published_task(task, work.now)

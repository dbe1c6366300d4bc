"""What DigitalOcean's actions do when they end."""

from datetime import timedelta

from clawdeploy_emulators.cloud.actions import Action
from clawdeploy_emulators.cloud.cloud import Effect
from clawdeploy_emulators.cloud.power import Power
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.digitalocean.droplets import KIND, memory_mb, rent
from clawdeploy_emulators.digitalocean.firewall_routes import forget_droplet

WENT_OFF = "went_off"  # not an action of the API: a system that was asked to shut down has done so
SHUTDOWN_SECONDS = 1.0
POWER = Power(kind=KIND, on="active", off="off", memory_mb=memory_mb)


def _created(work: Work, action: Action) -> None:
    if action.fails:
        return  # it stays `new`, without an address, and is billed
    work.documents.change(KIND, action.resource_id, ipv4=work.free_address(KIND))
    POWER.start(work, action)


def _asked_to_shut_down(work: Work, action: Action) -> None:
    if not action.fails:
        work.begin(WENT_OFF, of=("system", action.resource_id), length=timedelta(seconds=SHUTDOWN_SECONDS))


def _rebuilt(work: Work, action: Action) -> None:
    if not action.fails:
        work.documents.change(KIND, action.resource_id, image=action.details["image"])
    POWER.rebuild(work, action)


def _renamed(work: Work, action: Action) -> None:
    if not action.fails:
        work.documents.change(KIND, action.resource_id, name=action.details["name"])


def _resized(work: Work, action: Action) -> None:
    droplet = work.documents.find(KIND, action.resource_id)
    if droplet is None or action.fails:
        return
    work.rentals.end(droplet["id"], at=work.now)
    changed = {**droplet, "size": action.details["size"]}
    work.documents.put(KIND, changed)
    rent(work, changed)


def _destroyed(work: Work, action: Action) -> None:
    POWER.give_back(work, action)
    if not action.fails:
        forget_droplet(work, int(action.resource_id))


EFFECTS: dict[str, Effect] = {
    "create": _created,
    "power_on": POWER.start,
    "power_off": POWER.stop,
    "shutdown": _asked_to_shut_down,
    WENT_OFF: POWER.stop,
    "reboot": POWER.restart,
    "power_cycle": POWER.restart,
    "rebuild": _rebuilt,
    "rename": _renamed,
    "resize": _resized,
    "destroy": _destroyed,
}

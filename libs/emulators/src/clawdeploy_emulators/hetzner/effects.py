"""What Hetzner's actions do when they end."""

from datetime import timedelta

from clawdeploy_emulators.cloud.actions import Action
from clawdeploy_emulators.cloud.cloud import Effect
from clawdeploy_emulators.cloud.power import Power
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.hetzner.firewalls import forget_server
from clawdeploy_emulators.hetzner.servers import KIND, memory_mb, rent

WENT_OFF = "went_off"  # not an action of the API: a system that was asked to shut down has done so
SHUTDOWN_SECONDS = 1.0
POWER = Power(kind=KIND, on="running", off="off", memory_mb=memory_mb)


def _created(work: Work, action: Action) -> None:
    starts = action.details["start"] and not action.fails
    work.documents.change(KIND, action.resource_id, status="starting" if starts else "off")


def _asked_to_shut_down(work: Work, action: Action) -> None:
    if not action.fails:
        server_id, length = action.resource_id, timedelta(seconds=SHUTDOWN_SECONDS)
        work.begin(WENT_OFF, of=("system", server_id), length=length)


def _restarted(work: Work, action: Action) -> None:
    if action.details["before"] == POWER.on:
        POWER.restart(work, action)


def _deleted(work: Work, action: Action) -> None:
    POWER.give_back(work, action)
    if not action.fails:
        forget_server(work, int(action.resource_id))


def _resized(work: Work, action: Action) -> None:
    server = work.documents.find(KIND, action.resource_id)
    if server is None or action.fails:
        return
    work.rentals.end(server["id"], at=work.now)
    changed = {**server, "type": action.details["type"]}
    work.documents.put(KIND, changed)
    rent(work, changed)


def _rescue(*, enabled: bool) -> Effect:
    def effect(work: Work, action: Action) -> None:
        if not action.fails:
            work.documents.change(KIND, action.resource_id, rescue=enabled)

    return effect


EFFECTS: dict[str, Effect] = {
    "create_server": _created,
    "start_server": POWER.start,
    "stop_server": POWER.stop,
    "shutdown_server": _asked_to_shut_down,
    WENT_OFF: POWER.stop,
    "reboot_server": _restarted,
    "reset_server": _restarted,
    "rebuild_server": POWER.rebuild,
    "delete_server": _deleted,
    "change_server_type": _resized,
    "enable_rescue": _rescue(enabled=True),
    "disable_rescue": _rescue(enabled=False),
}

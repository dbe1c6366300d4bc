"""What Hetzner's actions do when they end."""

from datetime import timedelta

from clawdeploy_emulators.cloud.actions import Action
from clawdeploy_emulators.cloud.cloud import Cloud, Effect
from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.machines import Verb
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.hetzner.firewalls import forget_server
from clawdeploy_emulators.hetzner.servers import KIND, rent

WENT_OFF = "went_off"  # not an action of the API: a system that was asked to shut down has done so
SHUTDOWN_SECONDS = 1.0


def _created(work: Work, action: Action) -> None:
    starts = action.details["start"] and not action.fails
    work.documents.change(KIND, action.resource_id, status="starting" if starts else "off")


def _started(work: Work, action: Action) -> None:
    server = work.documents.find(KIND, action.resource_id)
    if server is None:
        return
    if action.fails:
        work.documents.change(KIND, server["id"], status=action.details.get("before", "off"))
        return
    if server["status"] == "running" or action.details.get("before") == "running":
        work.documents.change(KIND, server["id"], status="running")
        return
    work.order(Verb.POWER_ON if server["booted"] else Verb.BOOT, server)
    work.documents.change(KIND, server["id"], status="running", booted=True)


def _stopped(work: Work, action: Action) -> None:
    server = work.documents.find(KIND, action.resource_id)
    if server is None:
        return
    if action.fails:
        work.documents.change(KIND, server["id"], status=action.details["before"])
        return
    work.order(Verb.POWER_OFF, server)
    work.documents.change(KIND, server["id"], status="off")


def _asked_to_shut_down(work: Work, action: Action) -> None:
    if not action.fails:
        server_id, length = action.resource_id, timedelta(seconds=SHUTDOWN_SECONDS)
        work.begin(WENT_OFF, of=("system", server_id), length=length, before="running")


def _restarted(work: Work, action: Action) -> None:
    server = work.documents.find(KIND, action.resource_id)
    if server is not None and server["status"] == "running" and not action.fails:
        work.order(Verb.POWER_OFF, server)
        work.order(Verb.POWER_ON, server)


def _rebuilt(work: Work, action: Action) -> None:
    server = work.documents.find(KIND, action.resource_id)
    if server is None:
        return
    if not action.fails:
        work.order(Verb.REBUILD, server)
    work.documents.change(KIND, server["id"], status="off" if action.fails else "running", booted=True)


def _deleted(work: Work, action: Action) -> None:
    server = work.documents.find(KIND, action.resource_id)
    if server is None:
        return
    if action.fails:
        work.documents.change(KIND, server["id"], status=action.details["before"])
        return
    work.order(Verb.DELETE, server)
    work.documents.remove(KIND, server["id"])
    work.rentals.end(server["id"], at=action.ends_at or work.now)
    work.actions.abandon(KIND, server["id"])
    forget_server(work, server["id"])


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
    "start_server": _started,
    "stop_server": _stopped,
    "shutdown_server": _asked_to_shut_down,
    WENT_OFF: _stopped,
    "reboot_server": _restarted,
    "reset_server": _restarted,
    "rebuild_server": _rebuilt,
    "delete_server": _deleted,
    "change_server_type": _resized,
    "enable_rescue": _rescue(enabled=True),
    "disable_rescue": _rescue(enabled=False),
}


def resume(cloud: Cloud) -> None:
    """Bring the machines up again that were up when the stand-in ended."""
    with cloud.work() as work:
        running: list[Document] = [server for server in work.documents.all(KIND) if server["status"] == "running"]
        for server in running:
            work.order(Verb.BOOT, server)

"""What the ends of OVH's deliveries, tasks and months do."""

from datetime import datetime, timedelta

from clawdeploy_emulators.cloud.actions import Action
from clawdeploy_emulators.cloud.cloud import Effect
from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.power import Power
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.ovh.charging import months_later
from clawdeploy_emulators.ovh.context import iso
from clawdeploy_emulators.ovh.orders import DELIVERY
from clawdeploy_emulators.ovh.orders import KIND as ORDER
from clawdeploy_emulators.ovh.servers import KIND, memory_mb

POWER = Power(kind=KIND, on="running", off="stopped", memory_mb=memory_mb)
MONTH_ENDS = "month_ends"  # not a task of the API: the paid time is over


def _delivered(work: Work, action: Action) -> None:
    order = work.documents.find(ORDER, action.resource_id)
    if order is None:
        return
    if action.fails:
        for line in order["lines"]:
            work.rentals.end(line["service"], at=action.starts_at)
        return
    for line in order["lines"]:
        line["delivered"] = True
        _install(work, line, ordered=action.starts_at)
    work.documents.put(ORDER, order)


def _install(work: Work, line: Document, *, ordered: datetime) -> None:
    name, expires = line["service"], months_later(ordered, 1)
    address = work.free_address(KIND)
    work.documents.add(
        KIND,
        {
            "id": name,
            "displayName": name,
            "status": "installing",
            "plan": line["plan"],
            "place": line["place"],
            "system": line["system"],
            "ipv4": address,
            "ipv6": f"2001:db8::{address.split('.')[2]}:{address.split('.')[3]}",
            "keymap": None,
            "netbootMode": "local",
            "slaMonitoring": False,
            "public_key": None,
            "tags": {},
            "service_id": work.documents.next_id(),
            "ordered": iso(ordered),
            "delivered": iso(work.now),
            "expires": iso(expires),
            "months": 1,
            "renew": {
                "automatic": True,
                "deleteAtExpiration": False,
                "forced": False,
                "manualPayment": False,
                "period": 1,
            },
            "booted": False,
        },
    )
    work.begin("deliverVm", of=(KIND, name))
    work.begin(MONTH_ENDS, of=("contract", name), length=max(timedelta(), expires - work.now))


def _month_ended(work: Work, action: Action) -> None:
    vps = work.documents.find(KIND, action.resource_id)
    if vps is None:
        return
    if vps["renew"]["deleteAtExpiration"]:
        work.rentals.end(vps["id"], at=datetime.fromisoformat(vps["expires"]))
        POWER.give_back(work, action)
        return
    months = vps["months"] + 1
    expires = months_later(datetime.fromisoformat(vps["ordered"]), months)
    work.documents.put(KIND, {**vps, "months": months, "expires": iso(expires)})
    work.begin(MONTH_ENDS, of=("contract", vps["id"]), length=max(timedelta(), expires - work.now))


EFFECTS: dict[str, Effect] = {
    DELIVERY: _delivered,
    "deliverVm": POWER.start,
    "startVm": POWER.start,
    "stopVm": POWER.stop,
    "rebootVm": POWER.restart,
    "reinstallVm": POWER.rebuild,
    MONTH_ENDS: _month_ended,
}

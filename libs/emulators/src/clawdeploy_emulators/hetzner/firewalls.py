"""Firewalls: rules, and the servers they are applied to, by number or by label."""

from typing import Any

from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.hetzner.errors import not_found
from clawdeploy_emulators.hetzner.labels import selects

KIND = "firewall"


def known_firewall(work: Work, firewall_id: int) -> Document:
    """The firewall with this number. Raises the refusal for one that is not there."""
    firewall = work.documents.find(KIND, firewall_id)
    if firewall is None:
        raise not_found("firewall", firewall_id)
    return firewall


def applied_servers(firewall: Document, work: Work) -> list[Document]:
    """The servers that a firewall guards."""
    return [server for server in work.documents.all("server") if _guards(firewall, server)]


def firewalls_of(work: Work, server: Document) -> list[dict[str, Any]]:
    """The firewalls of a server, the way the server shows them."""
    return [
        {"id": firewall["id"], "status": "pending" if work.actions.busy(KIND, firewall["id"]) else "applied"}
        for firewall in work.documents.all(KIND)
        if _guards(firewall, server)
    ]


def apply_to_server(work: Work, firewall: Document, server_id: int) -> None:
    """Guard a server by its number."""
    entry = {"type": "server", "server": {"id": server_id}}
    if entry not in firewall["applied_to"]:
        work.documents.put(KIND, {**firewall, "applied_to": [*firewall["applied_to"], entry]})


def forget_server(work: Work, server_id: int) -> None:
    """Take a server that is gone out of every firewall."""
    entry = {"type": "server", "server": {"id": server_id}}
    for firewall in work.documents.all(KIND):
        left = [applied for applied in firewall["applied_to"] if applied != entry]
        work.documents.put(KIND, {**firewall, "applied_to": left})


def published_firewall(firewall: Document, work: Work) -> dict[str, Any]:
    """A firewall as the API gives it, with the servers its selectors find at present."""
    return {**firewall, "applied_to": [_published_target(target, work) for target in firewall["applied_to"]]}


def _published_target(target: dict[str, Any], work: Work) -> dict[str, Any]:
    if target["type"] == "server":
        return target
    matches = selects(target["label_selector"]["selector"])
    found = [server["id"] for server in work.documents.all("server") if matches(server["labels"])]
    return {**target, "applied_to_resources": [{"type": "server", "server": {"id": number}} for number in found]}


def _guards(firewall: Document, server: Document) -> bool:
    return any(_hits(target, server) for target in firewall["applied_to"])


def _hits(target: dict[str, Any], server: Document) -> bool:
    if target["type"] == "server":
        return target["server"]["id"] == server["id"]
    return selects(target["label_selector"]["selector"])(server["labels"])

"""Servers: what is kept of each, and what the API gives of it."""

from datetime import datetime, timedelta
from typing import Any

from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.rentals import Rental
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.hetzner import catalogue
from clawdeploy_emulators.hetzner.errors import locked, not_found
from clawdeploy_emulators.hetzner.firewalls import firewalls_of

KIND = "server"


def known_server(work: Work, server_id: int) -> Document:
    """The server with this number. Raises the refusal for one that is not there."""
    server = work.documents.find(KIND, server_id)
    if server is None:
        raise not_found("server", server_id)
    return server


def free_server(work: Work, server_id: int) -> Document:
    """A server that no action holds."""
    server = known_server(work, server_id)
    if work.actions.busy(KIND, server_id):
        raise locked()
    return server


def deletable_server(work: Work, server_id: int) -> Document:
    """A server that no action holds, save one that never ends: that gives way, or nothing could end it."""
    server = known_server(work, server_id)
    if work.actions.busy_for_now(KIND, server_id):
        raise locked()
    return server


def visible_servers(work: Work, *, after_seconds: float) -> list[Document]:
    """The servers that a listing knows of already."""
    youngest = work.now - timedelta(seconds=after_seconds)
    return [server for server in work.documents.all(KIND) if datetime.fromisoformat(server["created"]) <= youngest]


def rent(work: Work, server: Document) -> None:
    """Begin the bill's lines of a server: itself, and its IPv4 address when it has one."""
    item = catalogue.server_type(server["type"])
    assert item is not None  # noqa: S101  the route checked it
    lines = [(item.name, item.rate)] + ([("primary_ip_v4", catalogue.IPV4)] if server["ipv4"] else [])
    for name, rate in lines:
        work.rentals.begin(
            Rental(
                server_id=str(server["id"]),
                name=server["name"],
                item=name,
                place=server["place"],
                rate=rate,
                since=work.now,
                until=None,
            )
        )


def memory_mb(server: Document) -> int:
    """How much memory its type has."""
    item = catalogue.server_type(server["type"])
    assert item is not None  # noqa: S101  the route checked it
    return 1024 * item.memory


def published_server(server: Document, work: Work) -> dict[str, Any]:
    """A server as the API gives it."""
    item, image = catalogue.server_type(server["type"]), catalogue.image(server["image"], architecture="")
    return {
        "id": server["id"],
        "name": server["name"],
        "status": server["status"],
        "created": server["created"],
        "public_net": _public_net(server, work),
        "private_net": [],
        "server_type": None if item is None else catalogue.published_type(item, work),
        "location": catalogue.LOCATION[server["place"]],
        "image": None if image is None else catalogue.published_image(image),
        "iso": None,
        "rescue_enabled": server["rescue"],
        "locked": work.actions.busy(KIND, server["id"]),
        "backup_window": None,
        "outgoing_traffic": None,
        "ingoing_traffic": None,
        "included_traffic": catalogue.TRAFFIC_BYTES,
        "protection": server["protection"],
        "labels": server["labels"],
        "volumes": [],
        "load_balancers": [],
        "primary_disk_size": server["disk"],
        "placement_group": None,
    }


def pointer(address: str) -> str:
    """The name that an address leads back to."""
    return f"static.{'.'.join(reversed(address.split('.')))}.clients.your-server.de"


def _public_net(server: Document, work: Work) -> dict[str, Any]:
    ipv4, ipv6 = server["ipv4"], server["ipv6"]
    return {
        "ipv4": {"id": server["ipv4_id"], "ip": ipv4, "blocked": False, "dns_ptr": pointer(ipv4)} if ipv4 else None,
        "ipv6": {"id": server["ipv6_id"], "ip": ipv6, "blocked": False, "dns_ptr": []} if ipv6 else None,
        "floating_ips": [],
        "firewalls": firewalls_of(work, server),
    }

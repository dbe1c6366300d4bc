"""/primary_ips: the addresses that servers brought with them; they go with their servers."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from clawdeploy_emulators.cloud.context import InWork
from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.hetzner import catalogue
from clawdeploy_emulators.hetzner.errors import not_found
from clawdeploy_emulators.hetzner.listing import Asked
from clawdeploy_emulators.hetzner.servers import KIND, pointer

router = APIRouter(prefix="/primary_ips")


@router.get("")
async def list_primary_ips(asked: Asked, work: InWork, ip: Annotated[str | None, Query()] = None) -> dict[str, Any]:
    """The addresses of the project."""
    known = [address for server in work.documents.all(KIND) for address in _of(server)]
    return asked.answer("primary_ips", work.seen([address for address in known if ip in {None, address["ip"]}]))


@router.get("/{ip_id}")
async def get_primary_ip(ip_id: int, work: InWork) -> dict[str, Any]:
    """One address."""
    for server in work.documents.all(KIND):
        for address in _of(server):
            if address["id"] == ip_id:
                return {"primary_ip": address}
    raise not_found("primary IP", ip_id)


def _of(server: Document) -> list[dict[str, Any]]:
    return [_published(server, kind) for kind in ("ipv4", "ipv6") if server[kind]]


def _published(server: Document, kind: str) -> dict[str, Any]:
    address, number = server[kind], server[f"{kind}_id"]
    pointers = [{"ip": address, "dns_ptr": pointer(address)}] if kind == "ipv4" else []
    return {
        "id": number,
        "name": f"primary_ip-{number}",
        "labels": {},
        "created": server["created"],
        "blocked": False,
        "location": catalogue.LOCATION[server["place"]],
        "ip": address,
        "dns_ptr": pointers,
        "protection": {"delete": False},
        "type": kind,
        "auto_delete": True,
        "assignee_type": "server",
        "assignee_id": server["id"],
    }

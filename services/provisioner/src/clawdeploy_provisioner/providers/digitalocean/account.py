"""What we have in a DigitalOcean account: Droplets by tag, and the key and firewall each of them has of its own."""

import asyncio
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from clawdeploy_provisioner.on_server.user_data import OPEN_PORTS, FirstStart, render_user_data
from clawdeploy_provisioner.providers.cloud.account import ANYWHERE, Machine, Order, name_of
from clawdeploy_provisioner.providers.cloud.choice import Offer
from clawdeploy_provisioner.providers.cloud.client import CloudRefused
from clawdeploy_provisioner.providers.cloud.listing import SharedListing
from clawdeploy_provisioner.providers.cloud.settings import CloudSettings
from clawdeploy_provisioner.providers.digitalocean.choice import offers
from clawdeploy_provisioner.providers.digitalocean.client import UNPROCESSABLE, DigitalOceanClient
from clawdeploy_provisioner.providers.digitalocean.keys import Keys
from clawdeploy_provisioner.providers.digitalocean.tags import (
    belonging_name,
    instance_of,
    owner_in,
    owner_tags,
    platform_tag,
    server_of,
    server_tag,
    tags_of,
)
from clawdeploy_provisioner.providers.protocol import Belonging, ProviderUnavailable, ServerSpec, ServerState

log = structlog.get_logger()

_TAKEN = "conflict"
_POLL_S = 1.0
_LOOKS = 10
_STATES = {"new": ServerState.CREATING, "active": ServerState.RUNNING, "off": ServerState.OFF}


class DigitalOceanAccount:
    """See ``providers.cloud.account.CloudAccount``; a Droplet's user data cannot be changed after its creation."""

    keeps_user_data = True

    def __init__(self, client: DigitalOceanClient, settings: CloudSettings) -> None:
        self._client = client
        self._settings = settings
        self._keys = Keys(client)
        self._listing = SharedListing(self._list)

    async def servers(self, *, fresh: bool = False) -> list[Machine]:
        """Every Droplet that carries this platform's tag."""
        return await self._listing.machines(fresh=fresh)

    async def _list(self) -> list[Machine]:
        return _machines(await self._tagged(platform_tag(self._settings.platform)))

    async def _tagged(self, tag: str) -> list[dict[str, Any]]:
        return await self._client.pages("/droplets", key="droplets", tag_name=tag)

    def forget(self) -> None:
        """After a change of ours the last listing is old."""
        self._listing.forget()

    async def server(self, server_id: UUID) -> Machine | None:
        """One Droplet by its tag, asked now. Names and tags repeat: of two the older one counts, the sweep finds the other."""
        found = _machines(await self._tagged(server_tag(server_id)))
        return found[0] if found else None

    async def holds(self, ref: str) -> bool:
        """By its number."""
        return await self._client.find(f"/droplets/{ref}") is not None

    async def trouble(self, ref: str) -> str | None:
        """An action that failed; DigitalOcean gives no reason."""
        for action in await self._client.pages(f"/droplets/{ref}/actions", key="actions"):
            if action["status"] == "errored":
                return f"DigitalOcean's {action['type']} failed; it gives no reason"
        return None

    async def belongings(self) -> list[Belonging]:
        """Keys and firewalls, by their names: tags of a firewall say what it guards, and keys have none."""
        firewalls = await self._client.pages("/firewalls", key="firewalls")
        found = [("firewall", one) for one in firewalls] + [("ssh_key", one) for one in await self._keys.all()]
        owners = [
            (kind, str(one["id"]), owner_in(one["name"], platform=self._settings.platform)) for kind, one in found
        ]
        return [Belonging(kind=kind, ref=ref, server_id=owner) for kind, ref, owner in owners if owner is not None]

    async def give_back(self, belonging: Belonging) -> None:
        """By its number."""
        path = {"server": "/droplets", "firewall": "/firewalls", "ssh_key": "/account/keys"}[belonging.kind]
        try:
            await self._client.delete(f"{path}/{belonging.ref}")
        except CloudRefused as error:
            raise _later(error) from error
        self.forget()

    async def _offers(self, spec: ServerSpec) -> list[Offer]:
        sizes = await self._client.pages("/sizes", key="sizes")
        regions = await self._client.pages("/regions", key="regions")
        return offers(sizes, regions, spec=spec, limit=self._settings.max_hourly)

    async def order(self, order: Order) -> Machine:
        """Key, tag, firewall, Droplet; the firewall holds for the tag, so that the Droplet is never without it."""
        spec = order.spec
        choices = await self._offers(spec)
        key = await self._keys.ensure(self._named(spec.server_id), order.public_key)
        await self._client.post("/tags", {"name": server_tag(spec.server_id)})
        await self._ensure_firewall(spec.server_id)
        body: dict[str, Any] = {
            "name": name_of(spec.server_id),
            "image": self._settings.image,
            "ssh_keys": [key],
            "user_data": render_user_data(order.start),
            "tags": tags_of(spec, platform=self._settings.platform),
            "ipv6": True,
            "monitoring": False,
            "backups": False,
        }
        await self._first_that_is_there(spec, choices, body)
        found = await self.server(spec.server_id)
        if found is None:
            raise ProviderUnavailable("the Droplet exists but is not listed yet", retry_after=2)
        return found

    async def _first_that_is_there(self, spec: ServerSpec, choices: list[Offer], body: dict[str, Any]) -> None:
        """Refusals have one code, whatever is refused: sold out is what the catalogue does not offer any more."""
        for offer in choices:
            where = {"size": offer.server_type, "region": offer.location}
            try:
                await self._client.post("/droplets", {**body, **where})
            except CloudRefused as error:
                if error.error_code != UNPROCESSABLE or offer in await self._offers(spec):
                    raise
                log.info("digitalocean.sold_out", **where)
                continue
            log.info("server.created", server_id=str(spec.server_id), **where)
            return
        raise ProviderUnavailable(f"DigitalOcean is sold out at and near {spec.region}", retry_after=60)

    async def _ensure_firewall(self, server_id: UUID) -> None:
        body: dict[str, Any] = {"name": self._named(server_id), "tags": [server_tag(server_id)], **_rules()}
        try:
            await self._client.post("/firewalls", body)
        except CloudRefused as error:
            if error.error_code != _TAKEN:
                raise

    async def power_on(self, machine: Machine) -> None:
        """Followed to its end."""
        await self._act(machine, "power_on")

    async def power_off(self, machine: Machine) -> None:
        """Followed to its end."""
        await self._act(machine, "power_off")

    async def reset(self, machine: Machine) -> None:
        """Not followed: its agent says when it is back."""
        await self._ask(machine, "power_cycle")

    async def rebuild(self, machine: Machine, start: FirstStart | None) -> None:
        """With its first user data, whatever ``start`` says."""
        del start
        await self._act(machine, "rebuild", image=self._settings.image)

    async def _act(self, machine: Machine, kind: str, **more: str) -> None:
        await self._follow(await self._ask(machine, kind, **more))
        self.forget()

    async def _ask(self, machine: Machine, kind: str, **more: str) -> dict[str, Any]:
        try:
            answer = await self._client.post(f"/droplets/{machine.ref}/actions", {"type": kind, **more})
        except CloudRefused as error:
            raise _later(error) from error
        return answer["action"]

    async def _follow(self, action: dict[str, Any]) -> None:
        """Until an action has ended; raises ProviderUnavailable when it failed. The caller limits the time."""
        while action["status"] == "in-progress":
            await asyncio.sleep(_POLL_S)
            action = (await self._client.get(f"/actions/{action['id']}"))["action"]
        if action["status"] == "errored":
            raise ProviderUnavailable(f"DigitalOcean's action {action['type']} failed", retry_after=2)

    async def remove(self, server_id: UUID) -> None:
        """The Droplet, then its firewall, key and tags; the tag by which it is found goes last.

        Raises:
            ProviderUnavailable: something of it is still there.
        """
        for droplet in await self._tagged(server_tag(server_id)):
            for tag in owner_tags(droplet["tags"]):
                await self._client.delete(f"/tags/{tag}")
            await self.give_back(Belonging(kind="server", ref=str(droplet["id"]), server_id=server_id))
        await self._is_gone(server_id)
        for firewall in await self._client.pages("/firewalls", key="firewalls"):
            if firewall["name"] == self._named(server_id):
                await self._client.delete(f"/firewalls/{firewall['id']}")
        await self._keys.remove(self._named(server_id))
        await self._client.delete(f"/tags/{server_tag(server_id)}")

    def _named(self, server_id: UUID) -> str:
        return belonging_name(server_id, platform=self._settings.platform)

    async def _is_gone(self, server_id: UUID) -> None:
        """A destroyed Droplet is there for some moments more."""
        for _ in range(_LOOKS):
            if not await self._tagged(server_tag(server_id)):
                return
            await asyncio.sleep(_POLL_S)
        raise ProviderUnavailable(f"server {server_id} is not gone yet", retry_after=2)


def _later(error: CloudRefused) -> Exception:
    """A Droplet on which something is being done refuses what else is asked, by the code of all refusals."""
    return ProviderUnavailable(error.message, retry_after=2) if error.error_code == UNPROCESSABLE else error


def _rules() -> dict[str, Any]:
    """What is not permitted is denied, outbound too."""
    inbound = [{"protocol": "tcp", "ports": str(port), "sources": {"addresses": ANYWHERE}} for port in OPEN_PORTS]
    outbound: list[dict[str, Any]] = [
        {"protocol": protocol, "ports": "all", "destinations": {"addresses": ANYWHERE}} for protocol in ("tcp", "udp")
    ]
    outbound.append({"protocol": "icmp", "destinations": {"addresses": ANYWHERE}})
    return {"inbound_rules": inbound, "outbound_rules": outbound}


def _machines(droplets: list[dict[str, Any]]) -> list[Machine]:
    """Those whose tags say which server they are, the oldest first."""
    named = [(server_of(droplet["tags"]), droplet) for droplet in sorted(droplets, key=lambda found: int(found["id"]))]
    return [_machine(server_id, droplet) for server_id, droplet in named if server_id is not None]


def _machine(server_id: UUID, droplet: dict[str, Any]) -> Machine:
    """One that nothing is being done with, and is still new, did not come up."""
    state = _STATES.get(droplet["status"], ServerState.UNKNOWN)
    if state is ServerState.CREATING and not droplet["locked"]:
        state = ServerState.OFF
    return Machine(
        server_id=server_id,
        instance_id=instance_of(droplet["tags"]),
        ref=str(droplet["id"]),
        state=state,
        host=next((net["ip_address"] for net in droplet["networks"]["v4"] if net["type"] == "public"), None),
        created_at=datetime.fromisoformat(droplet["created_at"]),
    )

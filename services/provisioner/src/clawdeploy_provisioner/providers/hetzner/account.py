"""What we have in a Hetzner project: servers by label, and the key and firewall each of them has of its own."""

import asyncio
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from clawdeploy_provisioner.on_server.user_data import OPEN_PORTS, FirstStart, render_user_data
from clawdeploy_provisioner.providers.cloud.account import (
    ANYWHERE,
    INSTANCE_LABEL,
    PLATFORM_LABEL,
    SERVER_LABEL,
    Machine,
    Order,
    labels_of,
    name_of,
    server_id_in,
)
from clawdeploy_provisioner.providers.cloud.choice import Offer
from clawdeploy_provisioner.providers.cloud.client import CloudRefused
from clawdeploy_provisioner.providers.cloud.listing import SharedListing
from clawdeploy_provisioner.providers.cloud.settings import CloudSettings
from clawdeploy_provisioner.providers.hetzner.choice import offers
from clawdeploy_provisioner.providers.hetzner.client import SOLD_OUT, HetznerClient
from clawdeploy_provisioner.providers.protocol import Belonging, ProviderUnavailable, ServerSpec, ServerState

log = structlog.get_logger()

_TAKEN = "uniqueness_error"
_POLL_S = 0.5
_KINDS = ("firewall", "ssh_key")
_STATES = {
    "running": ServerState.RUNNING,
    "off": ServerState.OFF,
    "stopping": ServerState.OFF,
    "deleting": ServerState.GONE,
    "unknown": ServerState.UNKNOWN,
}


class HetznerAccount:
    """See ``providers.cloud.account.CloudAccount``."""

    keeps_user_data = False

    def __init__(self, client: HetznerClient, settings: CloudSettings) -> None:
        self._client = client
        self._settings = settings
        self._listing = SharedListing(self._list)

    async def servers(self, *, fresh: bool = False) -> list[Machine]:
        """Every server that carries this platform's label."""
        return await self._listing.machines(fresh=fresh)

    async def _list(self) -> list[Machine]:
        selector = f"{PLATFORM_LABEL}=={self._settings.platform}"
        machines = [_machine(found) for found in await self._client.pages("/servers", label_selector=selector)]
        return [machine for machine in machines if machine is not None]

    def forget(self) -> None:
        """After a change of ours the last listing is old."""
        self._listing.forget()

    async def server(self, server_id: UUID) -> Machine | None:
        """One server by its label, asked now."""
        found = await self._client.pages("/servers", label_selector=f"{SERVER_LABEL}=={server_id}")
        return _machine(found[0]) if found else None

    async def holds(self, ref: str) -> bool:
        """By its number."""
        return await self._client.find(f"/servers/{ref}") is not None

    async def trouble(self, ref: str) -> str | None:
        """The first of its actions that failed, in Hetzner's words."""
        for action in (await self._client.get(f"/servers/{ref}/actions"))["actions"]:
            if action["status"] == "error":
                reason: dict[str, Any] = action.get("error") or {}
                return f"Hetzner's {action['command']} failed: {reason.get('message', 'no reason was given')}"
        return None

    async def belongings(self) -> list[Belonging]:
        """Keys and firewalls."""
        selector = f"{PLATFORM_LABEL}=={self._settings.platform}"
        found = [
            (kind, str(one["id"]), server_id_in(one["labels"]))
            for kind in _KINDS
            for one in await self._client.pages(f"/{kind}s", label_selector=selector)
        ]
        return [Belonging(kind=kind, ref=ref, server_id=owner) for kind, ref, owner in found if owner is not None]

    async def give_back(self, belonging: Belonging) -> None:
        """By its number."""
        if belonging.kind == "server":
            await self._delete(belonging.ref)
        else:
            await self._drop(belonging.kind, int(belonging.ref))

    async def _offers(self, spec: ServerSpec) -> list[Offer]:
        types, locations = await self._client.pages("/server_types"), await self._client.pages("/locations")
        return offers(types, locations, spec=spec, limit=self._settings.max_hourly)

    async def order(self, order: Order) -> Machine:
        """Key, firewall, server, each by a name of its own."""
        spec = order.spec
        choices = await self._offers(spec)
        labels = labels_of(spec, platform=self._settings.platform)
        key = await self._ensure("ssh_key", spec.server_id, {"public_key": order.public_key, "labels": labels})
        firewall = await self._ensure("firewall", spec.server_id, {"rules": _rules(), "labels": labels})
        body: dict[str, Any] = {
            "name": name_of(spec.server_id),
            "image": self._settings.image,
            "ssh_keys": [str(key)],
            "firewalls": [{"firewall": firewall}],
            "user_data": render_user_data(order.start),
            "labels": labels,
            "public_net": {"enable_ipv4": True, "enable_ipv6": True},
            "start_after_create": True,
        }
        return await self._first_that_is_there(spec, choices, body)

    async def _first_that_is_there(self, spec: ServerSpec, choices: list[Offer], body: dict[str, Any]) -> Machine:
        for offer in choices:
            where = {"server_type": offer.server_type, "location": offer.location}
            try:
                answer = await self._client.post("/servers", {**body, **where})
            except CloudRefused as error:
                if error.error_code == _TAKEN:
                    return await self._adopted(spec)
                if error.error_code not in SOLD_OUT:
                    raise
                log.info("hetzner.sold_out", server_type=offer.server_type, location=offer.location)
                continue
            log.info("server.created", server_id=str(spec.server_id), **where)
            return _machine(answer["server"]) or await self._adopted(spec)
        raise ProviderUnavailable(f"Hetzner is sold out at and near {spec.region}", retry_after=60)

    async def _adopted(self, spec: ServerSpec) -> Machine:
        """Somebody created it meanwhile: an earlier call of ours whose answer was lost."""
        found = await self.server(spec.server_id)
        if found is None:
            raise ProviderUnavailable("the server exists but is not listed yet", retry_after=2)
        return found

    async def _ensure(self, kind: str, server_id: UUID, facts: dict[str, Any]) -> int:
        """The id of what belongs to a server, made unless it is there."""
        known = await self._named(kind, server_id)
        if known is not None:
            return known
        try:
            answer = await self._client.post(f"/{kind}s", {"name": name_of(server_id), **facts})
        except CloudRefused as error:
            if error.error_code != _TAKEN:
                raise
            known = await self._named(kind, server_id)
            if known is None:
                raise
            return known
        return int(answer[kind]["id"])

    async def _named(self, kind: str, server_id: UUID) -> int | None:
        found = (await self._client.get(f"/{kind}s", name=name_of(server_id)))[f"{kind}s"]
        return int(found[0]["id"]) if found else None

    async def power_on(self, machine: Machine) -> None:
        """Followed to its end."""
        await self._act(machine, "poweron")

    async def power_off(self, machine: Machine) -> None:
        """Followed to its end."""
        await self._act(machine, "poweroff")

    async def reset(self, machine: Machine) -> None:
        """Not followed: its agent says when it is back."""
        await self._client.post(f"/servers/{machine.ref}/actions/reset")

    async def rebuild(self, machine: Machine, start: FirstStart | None) -> None:
        """With new user data, which Hetzner takes at a rebuild too; without, the first ones are used again."""
        body: dict[str, Any] = {"image": self._settings.image}
        await self._act(machine, "rebuild", body if start is None else body | {"user_data": render_user_data(start)})

    async def _act(self, machine: Machine, action: str, body: dict[str, Any] | None = None) -> None:
        answer = await self._client.post(f"/servers/{machine.ref}/actions/{action}", body)
        await self._follow(answer["action"])
        self.forget()

    async def _follow(self, action: dict[str, Any]) -> None:
        """Until an action has ended; raises ProviderUnavailable when it failed. The caller limits the time."""
        while action["status"] == "running":
            await asyncio.sleep(_POLL_S)
            action = (await self._client.get(f"/actions/{action['id']}"))["action"]
        if action["status"] == "error":
            raise ProviderUnavailable(f"Hetzner's action {action['command']} failed", retry_after=2)

    async def remove(self, server_id: UUID) -> None:
        """The server, then its firewall and key; confirmed by looking again.

        Raises:
            ProviderUnavailable: something of it is still there.
        """
        found = await self.server(server_id)
        if found is not None:
            await self._delete(found.ref)
            if await self.server(server_id) is not None:
                raise ProviderUnavailable(f"server {server_id} is not gone yet", retry_after=2)
        for kind in _KINDS:
            known = await self._named(kind, server_id)
            if known is not None:
                await self._drop(kind, known)

    async def _delete(self, ref: str) -> None:
        answer = await self._client.delete(f"/servers/{ref}")
        if "action" in answer:
            await self._follow(answer["action"])
        self.forget()

    async def _drop(self, kind: str, known: int) -> None:
        try:
            await self._client.delete(f"/{kind}s/{known}")
        except CloudRefused as error:
            if error.error_code == "resource_in_use":
                raise ProviderUnavailable(f"the {kind} is still in use", retry_after=2) from error
            raise


def _rules() -> list[dict[str, Any]]:
    """Everything that comes in is denied, save what is listed."""
    return [{"direction": "in", "protocol": "tcp", "port": str(port), "source_ips": ANYWHERE} for port in OPEN_PORTS]


def _machine(found: dict[str, Any]) -> Machine | None:
    """None for one whose labels do not say which server it is."""
    server_id, ipv4 = server_id_in(found["labels"]), found["public_net"]["ipv4"]
    if server_id is None:
        log.warning("hetzner.label_missing", ref=found["id"])
        return None
    instance = found["labels"].get(INSTANCE_LABEL)
    return Machine(
        server_id=server_id,
        instance_id=UUID(instance) if instance else None,
        ref=str(found["id"]),
        state=_STATES.get(found["status"], ServerState.CREATING),
        host=None if ipv4 is None else ipv4["ip"],
        created_at=datetime.fromisoformat(found["created"]),
    )

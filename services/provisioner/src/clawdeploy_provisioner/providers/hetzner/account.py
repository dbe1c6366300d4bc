"""What we have in a Hetzner project: servers by label, and the key and firewall each of them has of its own."""

import asyncio
import time
from typing import Any
from uuid import UUID

from clawdeploy_provisioner.on_server.user_data import OPEN_PORTS
from clawdeploy_provisioner.providers.hetzner.answer import PLATFORM_LABEL, SERVER_LABEL
from clawdeploy_provisioner.providers.hetzner.client import HetznerClient, HetznerRefused
from clawdeploy_provisioner.providers.protocol import ProviderUnavailable

FRESH_S = 3.0
_ANYWHERE = ["0.0.0.0/0", "::/0"]
_TAKEN = "uniqueness_error"
_POLL_S = 0.5


def name_of(server_id: UUID) -> str:
    """The deterministic name of a server and of what belongs to it."""
    return f"clawdeploy-{server_id}"


class HetznerAccount:
    """Looks and changes; one listing serves everybody who asks within three seconds, so that many waits cost few calls."""

    def __init__(self, client: HetznerClient, *, platform: str) -> None:
        self.client = client
        self._platform = platform
        self._listing = asyncio.Lock()
        self._listed: list[dict[str, Any]] = []
        self._listed_at = float("-inf")

    async def servers(self, *, fresh: bool = False) -> list[dict[str, Any]]:
        """Every server that carries this platform's label."""
        asked_at = time.monotonic()
        async with self._listing:
            if self._listed_at < (asked_at if fresh else asked_at - FRESH_S):
                began = time.monotonic()
                selector = f"{PLATFORM_LABEL}=={self._platform}"
                self._listed = await self.client.pages("/servers", label_selector=selector)
                self._listed_at = began
            return self._listed

    def forget(self) -> None:
        """After a change of ours the last listing is old."""
        self._listed_at = float("-inf")

    async def server(self, server_id: UUID) -> dict[str, Any] | None:
        """One server by its label, asked now."""
        found = await self.client.pages("/servers", label_selector=f"{SERVER_LABEL}=={server_id}")
        return found[0] if found else None

    async def ensure_key(self, server_id: UUID, public_key: str, labels: dict[str, Any]) -> int:
        """The id of the server's SSH key."""
        return await self._ensure("ssh_key", server_id, {"public_key": public_key, "labels": labels})

    async def ensure_firewall(self, server_id: UUID, labels: dict[str, Any]) -> int:
        """The id of the server's firewall: everything that comes in is denied, save what is listed."""
        rules: list[Any] = [
            {"direction": "in", "protocol": "tcp", "port": str(port), "source_ips": _ANYWHERE} for port in OPEN_PORTS
        ]
        return await self._ensure("firewall", server_id, {"rules": rules, "labels": labels})

    async def _ensure(self, kind: str, server_id: UUID, facts: dict[str, Any]) -> int:
        known = await self._named(kind, server_id)
        if known is not None:
            return known
        try:
            answer = await self.client.post(f"/{kind}s", {"name": name_of(server_id), **facts})
        except HetznerRefused as error:
            if error.error_code != _TAKEN:
                raise
            known = await self._named(kind, server_id)
            if known is None:
                raise
            return known
        return int(answer[kind]["id"])

    async def _named(self, kind: str, server_id: UUID) -> int | None:
        found = (await self.client.get(f"/{kind}s", name=name_of(server_id)))[f"{kind}s"]
        return int(found[0]["id"]) if found else None

    async def act(self, found: dict[str, Any], action: str) -> None:
        """A power action, followed to its end."""
        answer = await self.client.post(f"/servers/{found['id']}/actions/{action}")
        await self.follow(answer["action"])
        self.forget()

    async def follow(self, action: dict[str, Any]) -> None:
        """Until an action has ended; raises ProviderUnavailable when it failed. The caller limits the time."""
        while action["status"] == "running":
            await asyncio.sleep(_POLL_S)
            action = (await self.client.get(f"/actions/{action['id']}"))["action"]
        if action["status"] == "error":
            raise ProviderUnavailable(f"Hetzner's action {action['command']} failed", retry_after=2)

    async def remove(self, server_id: UUID) -> None:
        """The server, then what belonged to it; confirmed by looking again.

        Raises:
            ProviderUnavailable: something of it is still there.
        """
        found = await self.server(server_id)
        if found is not None:
            answer = await self.client.delete(f"/servers/{found['id']}")
            if "action" in answer:
                await self.follow(answer["action"])
            self.forget()
            if await self.server(server_id) is not None:
                raise ProviderUnavailable(f"server {server_id} is not gone yet", retry_after=2)
        for kind in ("firewall", "ssh_key"):
            known = await self._named(kind, server_id)
            if known is not None:
                await self._drop(kind, known)

    async def _drop(self, kind: str, known: int) -> None:
        try:
            await self.client.delete(f"/{kind}s/{known}")
        except HetznerRefused as error:
            if error.error_code == "resource_in_use":
                raise ProviderUnavailable(f"the {kind} is still in use", retry_after=2) from error
            raise

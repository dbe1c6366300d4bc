"""One VPS: its tasks, its system, its contract."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from ipaddress import IPv4Address
from typing import Any
from urllib.parse import quote

from clawdeploy_common.errors import PermanentError
from clawdeploy_provisioner.providers.cloud.client import CloudRefused
from clawdeploy_provisioner.providers.ovh.client import OvhClient
from clawdeploy_provisioner.providers.protocol import ProviderError, ProviderUnavailable, ServerState

_POLL_S = 0.5
_BUSY = "running tasks"
_WAITING = ("todo", "doing", "init", "paused", "waitingAck", "blocked")
_STATES = {
    "running": ServerState.RUNNING,
    "stopped": ServerState.OFF,
    "stopping": ServerState.OFF,
    "rescued": ServerState.UNKNOWN,
}


class NoSuchImage(ProviderError, PermanentError):
    """The VPS cannot be installed with the system that the settings name."""

    code = "no-such-image"
    title = "OVH does not offer this system"


class Vps:
    """By the service's name; the lists of tasks are eventually consistent, so "running tasks" is waited for too."""

    def __init__(self, client: OvhClient, tags: OvhClient) -> None:
        self._client = client
        self._tags = tags

    async def find(self, name: str) -> dict[str, Any] | None:
        """As the API gives it; None when its contract has ended."""
        return await self._client.find(f"/vps/{name}")

    @staticmethod
    def state_of(found: Mapping[str, Any]) -> ServerState:
        """What OVH's word means."""
        return _STATES.get(found["state"], ServerState.CREATING)

    async def address(self, name: str) -> str | None:
        """Its IPv4 address."""
        return next((ip for ip in await self._client.get(f"/vps/{name}/ips") if _is_ipv4(ip)), None)

    async def drained(self, name: str) -> None:
        """Until no task is under way; the caller limits the time."""
        while await self._is_busy(name):  # noqa: ASYNC110 - it is OVH that we wait for
            await asyncio.sleep(_POLL_S)

    async def _is_busy(self, name: str) -> bool:
        return any([await self._client.get(f"/vps/{name}/tasks", state=state) for state in ("todo", "doing")])

    async def reinstall(self, name: str, *, image: str, public_key: str | None) -> None:
        """An empty disk with this system, which lets this key in, or nobody; followed to its end. Raises NoSuchImage."""
        body: dict[str, Any] = {"imageId": await self._image(name, image), "doNotSendPassword": True}
        await self.do(name, "rebuild", body | ({} if public_key is None else {"publicSshKey": public_key}))

    async def do(self, name: str, verb: str, body: Mapping[str, Any] | None = None) -> None:
        """One change, once no other is under way, followed to its end; raises ProviderUnavailable when it failed."""
        await self._followed(name, await self.ask(name, verb, body))

    async def ask(self, name: str, verb: str, body: Mapping[str, Any] | None = None) -> Any:
        """The same, not followed: the task."""
        while True:
            await self.drained(name)
            try:
                return await self._client.post(f"/vps/{name}/{verb}", dict(body or {}))
            except CloudRefused as error:
                if _BUSY not in error.message:
                    raise
                await asyncio.sleep(_POLL_S)

    async def bought_at(self, name: str) -> datetime | None:
        """The day since when it is paid; None when its contract has ended."""
        service = await self._client.find(f"/vps/{name}/serviceInfos")
        return None if service is None else datetime.fromisoformat(service["creation"]).replace(tzinfo=UTC)

    async def end_contract(self, name: str) -> datetime:
        """Not to be renewed any more; answers until when it is paid. Confirmed by reading again.

        Raises:
            ProviderUnavailable: the subscription is too young to be ended, or OVH did not take it.
        """
        path = f"/vps/{name}/serviceInfos"
        service = await self._client.get(path)
        if not service["renew"]["deleteAtExpiration"]:
            renew = {**service["renew"], "deleteAtExpiration": True}
            try:
                await self._client.put(path, {**service, "renew": renew})
            except CloudRefused as error:
                if error.http_status != HTTPStatus.BAD_REQUEST:
                    raise
                raise ProviderUnavailable(
                    f"the contract cannot be ended yet: {error.message}", retry_after=15
                ) from error
            service = await self._client.get(path)
        if not service["renew"]["deleteAtExpiration"]:
            raise ProviderUnavailable("the contract is still to be renewed", retry_after=15)
        return datetime.fromisoformat(service["expiration"]).replace(tzinfo=UTC)

    async def tag(self, found: Mapping[str, Any], labels: Mapping[str, Any]) -> None:
        """Our labels, as tags of OVH's IAM."""
        known: dict[str, str] = found["iam"].get("tags") or {}
        for key, value in labels.items():
            if known.get(key) != value:
                urn = quote(found["iam"]["urn"], safe=":")
                await self._tags.post(f"/iam/resource/{urn}/tag", {"key": key, "value": str(value)})

    async def tagged(self) -> list[dict[str, Any]]:
        """Every VPS of the account with its tags."""
        return list(await self._tags.get("/iam/resource", resourceType="vps"))

    async def _followed(self, name: str, task: Mapping[str, Any]) -> None:
        while task["state"] in _WAITING:
            await asyncio.sleep(_POLL_S)
            task = await self._client.get(f"/vps/{name}/tasks/{task['id']}")
        if task["state"] != "done":
            raise ProviderUnavailable(f"OVH's task {task['type']} ended with {task['state']}", retry_after=10)

    async def _image(self, name: str, wanted: str) -> str:
        offered: list[str] = []
        for image in await self._client.get(f"/vps/{name}/images/available"):
            found = (await self._client.get(f"/vps/{name}/images/available/{image}"))["name"]
            if found == wanted:
                return str(image)
            offered.append(found)
        raise NoSuchImage(f"{wanted} is none of {', '.join(offered)}")


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True

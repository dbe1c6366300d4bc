"""From an order to its VPS: how far the delivery is, and what the service is called, which each region tells elsewhere."""

from typing import Any

from clawdeploy_provisioner.providers.ovh.client import OvhClient

_PRODUCT = "virtualPrivateServer"
_UNNAMED = ("", "*", None)
_ENDED = ("cancelled", "cancelling")


class Delivery:
    """Looks only."""

    def __init__(self, client: OvhClient) -> None:
        self._client = client

    async def is_cancelled(self, order_id: int) -> bool:
        """Whether OVH gave the order up; it costs nothing then."""
        return await self._client.get(f"/me/order/{order_id}/status") in _ENDED

    async def service_of(self, order_id: int) -> str | None:
        """The VPS's name; None until there is one.

        In Europe and Canada the order's line names it as its domain; in the United States that stays a star and the line's
        operation names it. Lines for the system and the installation are skipped.
        """
        for detail in await self._client.get(f"/me/order/{order_id}/details"):
            path = f"/me/order/{order_id}/details/{detail}"
            if not _is_vps(await self._client.get(f"{path}/extension")):
                continue
            domain = (await self._client.get(path))["domain"]
            return str(domain) if domain not in _UNNAMED else await self._by_operation(path)
        return None

    async def _by_operation(self, path: str) -> str | None:
        operations: list[int] = await self._client.find(f"{path}/operations") or []
        for operation in operations:
            found: dict[str, Any] = await self._client.get(f"{path}/operations/{operation}")
            resource: dict[str, Any] = found.get("resource") or {}
            name = resource.get("name")
            if name not in _UNNAMED:
                return str(name)
        return None


def _is_vps(extension: dict[str, Any]) -> bool:
    return extension["order"]["plan"]["product"]["name"] == _PRODUCT

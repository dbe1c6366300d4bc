"""What OVH sells and has in stock, as its API tells it."""

from typing import Any

from clawdeploy_provisioner.providers.ovh.choice import in_stock
from clawdeploy_provisioner.providers.ovh.client import OvhClient


async def catalogue_of(client: OvhClient, *, subsidiary: str) -> dict[str, Any]:
    """Every VPS that is sold, with its prices."""
    return await client.get("/order/catalog/public/vps", ovhSubsidiary=subsidiary)


async def stock_of(client: OvhClient, plan: str, *, subsidiary: str) -> list[str]:
    """The datacenters where a plan can be ordered."""
    return in_stock(await client.get("/vps/order/rule/datacenter", ovhSubsidiary=subsidiary, planCode=plan))

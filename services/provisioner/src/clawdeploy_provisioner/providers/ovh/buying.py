"""From a cart to an order. A cart costs nothing; its checkout is bought once, or looked for, never repeated blindly (law 7).

Source: recorded observations of the live API; double orders by repeated checkouts are terraform-provider-ovh's issue 1118.
"""

from datetime import timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import structlog

from clawdeploy_provisioner.providers.cloud.choice import Offer
from clawdeploy_provisioner.providers.cloud.client import CloudRefused
from clawdeploy_provisioner.providers.ovh.choice import HOURS_A_MONTH
from clawdeploy_provisioner.providers.ovh.client import OvhClient
from clawdeploy_provisioner.providers.ovh.orders import OrderRow, Orders
from clawdeploy_provisioner.providers.protocol import ProviderUnavailable

log = structlog.get_logger()

_MONTH = {"duration": "P1M", "pricingMode": "default", "quantity": 1}
_PAY: dict[str, Any] = {"autoPayWithPreferredPaymentMethod": True, "waiveRetractationPeriod": True}
_CLOCKS = timedelta(minutes=10)
"""How far OVH's clock may be from ours when orders are looked for by date."""


class Buying:
    """Fills carts and checks them out; ``image`` is the system as OVH names it, ``subsidiary`` whose prices hold."""

    def __init__(self, client: OvhClient, orders: Orders, *, image: str, subsidiary: str) -> None:
        self._client = client
        self._orders = orders
        self._image = image
        self._subsidiary = subsidiary

    async def buy(self, row: OrderRow, choices: list[Offer], *, limit: Decimal) -> int:
        """The number of an order that did not begin yet: the first offer that OVH would deliver for at most ``limit`` an hour.

        Raises:
            ProviderUnavailable: sold out everywhere near, or nobody knows yet what became of the checkout.
        """
        for offer in choices:
            cart = await self._filled(row, offer, limit=limit)
            if cart is None:
                continue
            going = await self._orders.checking_out(
                row.server_id, cart=cart, plan=offer.server_type, datacenter=offer.location
            )
            if going is None:
                raise ProviderUnavailable("another attempt orders this server", retry_after=5)
            return await self._checked_out(going)
        raise ProviderUnavailable("OVH is sold out there and near", retry_after=60)

    async def settle(self, row: OrderRow) -> int | None:
        """What became of a checkout whose answer was lost; None when it was not bought, and can be no more.

        Raises:
            ProviderUnavailable: it was bought, and its order is not listed yet.
        """
        if not await self._was_bought(row):
            await self._client.delete(f"/order/cart/{row.cart_id}")
            if not await self._was_bought(
                row
            ):  # a checkout that came in between would have been refused or done by now
                await self._orders.not_bought(row.server_id)
                return None
        order_id = await self._order_of(row)
        if order_id is None:
            raise ProviderUnavailable("the order is not listed yet", retry_after=5)
        await self._orders.bought(row.server_id, order_id)
        return order_id

    async def _filled(self, row: OrderRow, offer: Offer, *, limit: Decimal) -> str | None:
        """A cart that could be checked out now; None when OVH would not deliver, or asks more than it said."""
        body = {"ovhSubsidiary": self._subsidiary, "description": str(row.server_id)}
        cart_id = str((await self._client.post("/order/cart", body))["cartId"])
        await self._client.post(f"/order/cart/{cart_id}/assign")
        try:
            item = await self._client.post(f"/order/cart/{cart_id}/vps", {"planCode": offer.server_type, **_MONTH})
            said = {"vps_datacenter": offer.location, "vps_os": self._image}
            for label, value in said.items():
                path = f"/order/cart/{cart_id}/item/{item['itemId']}/configuration"
                await self._client.post(path, {"label": label, "value": value})
            quote = await self._client.get(f"/order/cart/{cart_id}/checkout")
        except CloudRefused as error:
            log.info("ovh.not_offered", plan=offer.server_type, datacenter=offer.location, reason=str(error))
            await self._client.delete(f"/order/cart/{cart_id}")
            return None
        price = Decimal(quote["prices"]["withoutTax"]["value"])
        if price > limit * HOURS_A_MONTH:
            log.warning("ovh.too_dear", plan=offer.server_type, quoted=str(price))
            await self._client.delete(f"/order/cart/{cart_id}")
            return None
        return cart_id

    async def _checked_out(self, row: OrderRow) -> int:
        try:
            answer = await self._client.post(f"/order/cart/{row.cart_id}/checkout", _PAY)
        except CloudRefused as error:
            await self._orders.not_bought(row.server_id)
            raise ProviderUnavailable(f"OVH did not take the order: {error.message}", retry_after=60) from error
        order_id = int(answer["orderId"])
        await self._orders.bought(row.server_id, order_id)
        log.info("ovh.ordered", server_id=str(row.server_id), order_id=order_id, plan=row.plan)
        return order_id

    async def _was_bought(self, row: OrderRow) -> bool:
        """A cart that was checked out is read-only; one that is gone was thrown away unbought."""
        try:
            cart = await self._client.get(f"/order/cart/{row.cart_id}")
        except CloudRefused as error:
            if error.http_status == HTTPStatus.NOT_FOUND:
                return False
            raise
        return bool(cart["readOnly"])

    async def _order_of(self, row: OrderRow) -> int | None:
        """Among orders since then that are no other server's: the first of this plan at this datacenter."""
        assert row.checkout_at is not None  # noqa: S101 - asked only of those
        since = (row.checkout_at - _CLOCKS).isoformat(timespec="seconds")
        taken = await self._orders.taken()
        for order_id in sorted(await self._client.get("/me/order", **{"date.from": since})):
            if order_id not in taken and await self._is_of(order_id, row):
                return int(order_id)
        return None

    async def _is_of(self, order_id: int, row: OrderRow) -> bool:
        for detail in await self._client.get(f"/me/order/{order_id}/details"):
            order = (await self._client.get(f"/me/order/{order_id}/details/{detail}/extension"))["order"]
            said = {entry["label"]: entry["value"] for entry in order.get("configurations", [])}
            if order["plan"]["code"] == row.plan and said.get("vps_datacenter", row.datacenter) == row.datacenter:
                return True
        return False

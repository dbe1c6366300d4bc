"""Carts: what is going to be ordered, until it was."""

from datetime import timedelta
from typing import Any

from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.ovh import catalogue
from clawdeploy_emulators.ovh.catalogue import Plan
from clawdeploy_emulators.ovh.errors import bad_request, not_found

KIND = "cart"
LIFETIME = timedelta(days=1)


def known_cart(work: Work, cart_id: str) -> Document:
    """The cart with this identifier. Raises the refusal for one that is not there."""
    cart = work.documents.find(KIND, cart_id)
    if cart is None:
        raise not_found(f"cartId = {cart_id}")
    return cart


def open_cart(work: Work, cart_id: str) -> Document:
    """A cart that was not checked out."""
    cart = known_cart(work, cart_id)
    if cart["readOnly"]:
        raise bad_request("Cart is read only")
    return cart


def item_of(cart: Document, item_id: int) -> dict[str, Any]:
    """An item of a cart."""
    for item in cart["contents"]:
        if item["itemId"] == item_id:
            found: dict[str, Any] = item
            return found
    raise not_found(f"itemId = {item_id}")


def chosen(item: dict[str, Any], label: str) -> str | None:
    """What was said of an item under a label."""
    return next((entry["value"] for entry in item["configured"] if entry["label"] == label), None)


def orderable(item: dict[str, Any], work: Work) -> Plan:
    """The plan of an item about which everything needed was said, and which is in stock."""
    plan = catalogue.plan_of(item["planCode"])
    assert plan is not None  # noqa: S101  the route checked it
    for needed in catalogue.required():
        value = chosen(item, needed["label"])
        if value is None and needed["required"]:
            raise bad_request(f"Configuration {needed['label']} is required")
    place = chosen(item, catalogue.DATACENTER) or ""
    if work.sold_out(plan=plan.code, place=place):
        raise bad_request(f"{plan.code} is not available in datacenter {place}")
    return plan


def published_cart(cart: Document) -> dict[str, Any]:
    """A cart as the API gives it."""
    shown = ("cartId", "description", "expire", "readOnly")
    return {**{name: cart[name] for name in shown}, "items": [item["itemId"] for item in cart["contents"]]}


def published_item(cart: Document, item: dict[str, Any]) -> dict[str, Any]:
    """An item as the API gives it."""
    plan = catalogue.plan_of(item["planCode"])
    monthly = plan.monthly_micros * item["quantity"] if plan else 0
    return {
        "cartId": cart["cartId"],
        "itemId": item["itemId"],
        "configurations": [entry["id"] for entry in item["configured"]],
        "duration": item["duration"],
        "offerId": item["planCode"],
        "options": [],
        "parentItemId": None,
        "prices": [{"label": "TOTAL", "price": catalogue.price(monthly)}],
        "productId": "vps",
        "settings": {
            "planCode": item["planCode"],
            "pricingMode": item["pricingMode"],
            "quantity": item["quantity"],
        },
    }

"""/order/cart: fill a cart, ask what it costs, and check it out. Two checkouts are two orders, were it not read-only."""

import uuid
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from clawdeploy_emulators.cloud.context import InWork
from clawdeploy_emulators.ovh import catalogue
from clawdeploy_emulators.ovh.carts import (
    KIND,
    LIFETIME,
    item_of,
    known_cart,
    open_cart,
    orderable,
    published_cart,
    published_item,
)
from clawdeploy_emulators.ovh.context import InSettings, iso
from clawdeploy_emulators.ovh.errors import bad_request, not_found
from clawdeploy_emulators.ovh.orders import place_order, published_contract

router = APIRouter(prefix="/order/cart")
Json = dict[str, Any]


class NewCart(BaseModel):
    """A cart to open."""

    ovhSubsidiary: str = Field(min_length=2, max_length=2)  # noqa: N815  the API's name
    description: str = ""


class NewItem(BaseModel):
    """A VPS to put into a cart."""

    planCode: str  # noqa: N815  the API's name
    duration: str = Field(pattern="^P1M$")
    pricingMode: str = Field(default="default", pattern="^default$")  # noqa: N815  the API's name
    quantity: int = Field(default=1, ge=1, le=1)


class Configured(BaseModel):
    """Something said of an item."""

    label: str
    value: str


class Checkout(BaseModel):
    """How an order is to be paid."""

    autoPayWithPreferredPaymentMethod: bool = False  # noqa: N815  the API's name
    waiveRetractationPeriod: bool = False  # noqa: N815  the API's name


@router.post("")
async def create_cart(new: NewCart, work: InWork) -> Json:
    """Open a cart."""
    cart_id = str(uuid.uuid4())
    cart: Json = {
        "id": cart_id,
        "cartId": cart_id,
        "description": new.description,
        "expire": iso(work.now + LIFETIME),
        "readOnly": False,
        "assigned": False,
        "contents": [],
    }
    work.documents.add(KIND, cart)
    return published_cart(cart)


@router.get("/{cart_id}")
async def get_cart(cart_id: str, work: InWork) -> Json:
    """One cart; `readOnly` says that it was checked out."""
    return published_cart(known_cart(work, cart_id))


@router.delete("/{cart_id}")
async def delete_cart(cart_id: str, work: InWork) -> None:
    """Throw a cart away."""
    open_cart(work, cart_id)
    work.documents.remove(KIND, cart_id)


@router.post("/{cart_id}/assign")
async def assign(cart_id: str, work: InWork) -> None:
    """Make the cart the account's own."""
    work.documents.put(KIND, {**open_cart(work, cart_id), "assigned": True})


@router.get("/{cart_id}/vps")
async def list_offers(cart_id: str, work: InWork) -> list[Json]:
    """What can be put into it."""
    known_cart(work, cart_id)
    return work.seen([catalogue.offers(plan) for plan in catalogue.PLANS])


@router.post("/{cart_id}/vps")
async def add_item(cart_id: str, new: NewItem, work: InWork) -> Json:
    """Put a VPS into it."""
    cart = open_cart(work, cart_id)
    if catalogue.plan_of(new.planCode) is None:
        raise bad_request(f"Given planCode {new.planCode} is not a valid one")
    item: Json = {"itemId": work.documents.next_id(), "configured": [], **new.model_dump()}
    work.documents.put(KIND, {**cart, "contents": [*cart["contents"], item]})
    return published_item(cart, item)


@router.get("/{cart_id}/item/{item_id}")
async def get_item(cart_id: str, item_id: int, work: InWork) -> Json:
    """One item."""
    cart = known_cart(work, cart_id)
    return published_item(cart, item_of(cart, item_id))


@router.get("/{cart_id}/item/{item_id}/requiredConfiguration")
async def required_configuration(cart_id: str, item_id: int, work: InWork) -> list[Json]:
    """What must be said of an item."""
    item_of(known_cart(work, cart_id), item_id)
    return catalogue.required()


@router.post("/{cart_id}/item/{item_id}/configuration")
async def configure(cart_id: str, item_id: int, said: Configured, work: InWork) -> Json:
    """Say something of an item."""
    cart = open_cart(work, cart_id)
    item = item_of(cart, item_id)
    known = {each["label"]: each["allowedValues"] for each in catalogue.required()}
    if said.value not in known.get(said.label, []):
        raise bad_request(f"{said.value} is not allowed for {said.label}")
    if any(entry["label"] == said.label for entry in item["configured"]):
        raise bad_request(f"{said.label} is configured already")
    entry = {"id": work.documents.next_id(), **said.model_dump()}
    item["configured"].append(entry)
    work.documents.put(KIND, cart)
    return entry


@router.get("/{cart_id}/item/{item_id}/configuration/{configuration_id}")
async def get_configuration(cart_id: str, item_id: int, configuration_id: int, work: InWork) -> Json:
    """One thing that was said of an item."""
    for entry in item_of(known_cart(work, cart_id), item_id)["configured"]:
        if entry["id"] == configuration_id:
            found: Json = entry
            return found
    raise not_found(f"configurationId = {configuration_id}")


@router.get("/{cart_id}/checkout")
async def quote(cart_id: str, work: InWork) -> Json:
    """What it would cost; nothing is bought."""
    cart = open_cart(work, cart_id)
    plans = [(orderable(item, work), item["itemId"]) for item in cart["contents"]]
    return published_contract(plans, order_id=None)


@router.post("/{cart_id}/checkout")
async def checkout(cart_id: str, asked: Checkout, work: InWork, settings: InSettings) -> Json:
    """Buy it, once: the cart is read-only from now on."""
    cart = open_cart(work, cart_id)
    if not cart["assigned"] or not cart["contents"]:
        raise bad_request("Cart is not assigned, or empty")
    plans = [(orderable(item, work), item["itemId"]) for item in cart["contents"]]
    order_id = place_order(work, cart, settings=settings, paid=asked.autoPayWithPreferredPaymentMethod)
    work.documents.put(KIND, {**cart, "readOnly": True})
    return published_contract(plans, order_id=order_id)

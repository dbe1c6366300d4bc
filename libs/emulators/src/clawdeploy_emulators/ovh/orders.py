"""Orders: what was bought, whether it was paid, and how far its delivery is."""

import secrets
from datetime import timedelta
from typing import Any

from clawdeploy_emulators.cloud.actions import ActionState
from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.rentals import Rental
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.ovh import catalogue
from clawdeploy_emulators.ovh.carts import chosen, orderable
from clawdeploy_emulators.ovh.catalogue import Plan
from clawdeploy_emulators.ovh.context import iso
from clawdeploy_emulators.ovh.errors import bad_request, not_found
from clawdeploy_emulators.ovh.settings import OvhSettings

KIND, VPS, DELIVERY = "order", "vps", "deliver"
CHECKING_PERCENT = 20
Json = dict[str, Any]


def known_order(work: Work, order_id: int) -> Document:
    """The order with this number. Raises the refusal for one that is not there."""
    order = work.documents.find(KIND, order_id)
    if order is None:
        raise not_found(f"orderId = {order_id}")
    return order


def place_order(work: Work, cart: Document, *, settings: OvhSettings, paid: bool) -> int:
    """Turn a cart into an order."""
    if len(work.documents.all(VPS)) >= settings.server_limit:
        raise bad_request("You have reached the limit of services of this account")
    order_id = work.documents.next_id()
    lines = [_line(item, work) for item in cart["contents"]]
    order = {"id": order_id, "date": iso(work.now), "cart": cart["cartId"], "lines": lines, "paid": False}
    work.documents.add(KIND, order)
    if paid:
        pay(work, order, settings=settings)
    return order_id


def pay(work: Work, order: Document, *, settings: OvhSettings) -> None:
    """Pay an order; what it holds is paid for from now on, and its delivery begins."""
    work.documents.put(KIND, {**order, "paid": True})
    for line in order["lines"]:
        plan = catalogue.plan_of(line["plan"])
        assert plan is not None  # noqa: S101  the cart checked it
        work.rentals.begin(
            Rental(
                server_id=line["service"],
                name=line["service"],
                item=plan.code,
                place=line["place"],
                rate=plan.rate,
                since=work.now,
                until=None,
            )
        )
    work.begin(DELIVERY, of=(KIND, order["id"]), length=timedelta(seconds=settings.delivery_seconds))


def status_of(work: Work, order: Document) -> str:
    """How far an order is, in the API's words."""
    if not order["paid"]:
        return "notPaid"
    delivery = work.actions.of(KIND, order["id"])[-1]
    match delivery.state(work.now):
        case ActionState.SUCCESS:
            return "delivered"
        case ActionState.ERROR:
            return "cancelled"
        case _:
            return "checking" if delivery.progress(work.now) < CHECKING_PERCENT else "delivering"


def published_order(order: Document) -> Json:
    """An order as the API gives it."""
    plans = [plan for line in order["lines"] if (plan := catalogue.plan_of(line["plan"])) is not None]
    return {
        "orderId": order["id"],
        "date": order["date"],
        "expirationDate": order["date"],
        "password": "",
        "pdfUrl": f"https://www.ovh.com/cgi-bin/order/facture.pdf?reference={order['id']}",
        "url": _url(order["id"]),
        "retractionDate": None,
        **_sums(plans),
    }


def published_contract(plans: list[tuple[Plan, int]], *, order_id: int | None) -> Json:
    """A quote, or with its number an order, as the checkout gives it."""
    sums = _sums([plan for plan, _ in plans])
    prices = {"withTax": sums["priceWithTax"], "withoutTax": sums["priceWithoutTax"], "tax": sums["tax"]}
    details = [
        {
            "cartItemID": item_id,
            "domain": "*",
            "detailType": "DURATION",
            "description": f"{plan.offer} rental for 1 month",
            "quantity": 1,
            "unitPrice": catalogue.price(plan.monthly_micros),
            "totalPrice": catalogue.price(plan.monthly_micros),
        }
        for plan, item_id in plans
    ]
    url = None if order_id is None else _url(order_id)
    return {"orderId": order_id, "url": url, "prices": prices, "details": details, "contracts": []}


def _line(item: Json, work: Work) -> Json:
    plan = orderable(item, work)
    return {
        "detail": work.documents.next_id(),
        "extra": work.documents.next_id(),
        "operation": work.documents.next_id(),
        "plan": plan.code,
        "place": chosen(item, catalogue.DATACENTER),
        "system": chosen(item, catalogue.SYSTEM),
        "service": f"vps-{secrets.token_hex(4)}.vps.ovh.net",
        "delivered": False,
    }


def _sums(plans: list[Plan]) -> Json:
    net = sum(plan.monthly_micros for plan in plans)
    tax = net * catalogue.TAX_PERCENT // 100
    return {
        "priceWithoutTax": catalogue.price(net),
        "tax": catalogue.price(tax),
        "priceWithTax": catalogue.price(net + tax),
    }


def _url(order_id: int) -> str:
    return f"https://www.ovh.com/cgi-bin/order/displayOrder.cgi?orderId={order_id}"

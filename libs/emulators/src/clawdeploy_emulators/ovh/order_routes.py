"""/me/order: what was bought, how far it is, and what service came of it."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from clawdeploy_emulators.cloud.context import InWork
from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.ovh import catalogue
from clawdeploy_emulators.ovh.account_routes import PAYMENT_METHOD
from clawdeploy_emulators.ovh.context import InSettings
from clawdeploy_emulators.ovh.errors import bad_request, not_found
from clawdeploy_emulators.ovh.orders import KIND, known_order, pay, published_order, status_of
from clawdeploy_emulators.ovh.settings import OvhSettings

router = APIRouter(prefix="/me/order")
Json = dict[str, Any]


class PaymentMethod(BaseModel):
    """Which of the account's ways to pay."""

    id: int


class Payment(BaseModel):
    """How to pay an order."""

    paymentMethod: PaymentMethod  # noqa: N815  the API's name


@router.get("")
async def list_orders(
    work: InWork,
    since: Annotated[datetime | None, Query(alias="date.from")] = None,
    until: Annotated[datetime | None, Query(alias="date.to")] = None,
) -> list[int]:
    """The numbers of the orders of a time."""
    found: list[int] = []
    for order in work.documents.all(KIND):
        date = datetime.fromisoformat(order["date"])
        if (since is None or date >= since) and (until is None or date <= until):
            found.append(order["id"])
    return work.seen(found)


@router.get("/{order_id}")
async def get_order(order_id: int, work: InWork) -> Json:
    """One order."""
    return published_order(known_order(work, order_id))


@router.get("/{order_id}/status")
async def get_status(order_id: int, work: InWork) -> str:
    """How far it is; a bare string."""
    return status_of(work, known_order(work, order_id))


@router.post("/{order_id}/pay")
async def pay_order(order_id: int, asked: Payment, work: InWork, settings: InSettings) -> None:
    """Pay an order that was not."""
    order = known_order(work, order_id)
    if asked.paymentMethod.id != PAYMENT_METHOD:
        raise not_found(f"paymentMethodId = {asked.paymentMethod.id}")
    if order["paid"]:
        raise bad_request("Order is already paid")
    pay(work, order, settings=settings)


@router.get("/{order_id}/details")
async def list_details(order_id: int, work: InWork) -> list[int]:
    """The numbers of its lines: the VPS, and what goes with it."""
    lines = known_order(work, order_id)["lines"]
    return [number for line in lines for number in (line["detail"], line["extra"])]


@router.get("/{order_id}/details/{detail_id}")
async def get_detail(order_id: int, detail_id: int, work: InWork, settings: InSettings) -> Json:
    """One line; in Europe its domain is the service's name once there is one, in the United States it stays a star."""
    line = _line(work, order_id, detail_id)
    plan = catalogue.plan_of(line["plan"])
    is_vps = detail_id == line["detail"]
    micros = plan.monthly_micros if plan and is_vps else 0
    named = line["delivered"] and settings.region == "eu"
    return {
        "orderDetailId": detail_id,
        "cancelled": False,
        "description": f"{line['plan']} rental for 1 month" if is_vps else line["system"],
        "detailType": "DURATION" if is_vps else "INSTALLATION",
        "domain": line["service"] if named else "*",
        "quantity": "1",
        "totalPrice": catalogue.price(micros),
        "unitPrice": catalogue.price(micros),
    }


@router.get("/{order_id}/details/{detail_id}/extension")
async def get_extension(order_id: int, detail_id: int, work: InWork) -> Json:
    """Which plan and product a line is about."""
    line = _line(work, order_id, detail_id)
    is_vps = detail_id == line["detail"]
    product = {"name": "virtualPrivateServer" if is_vps else "operatingSystem"}
    code = line["plan"] if is_vps else catalogue.image_id(line["system"])
    said = [
        {"label": catalogue.DATACENTER, "value": line["place"]},
        {"label": catalogue.SYSTEM, "value": line["system"]},
    ]
    plan = {"code": code, "duration": "P1M", "pricingMode": "default", "product": product, "quantity": 1}
    return {"order": {"action": "installation", "configurations": said if is_vps else [], "plan": plan, "type": "plan"}}


@router.get("/{order_id}/details/{detail_id}/operations")
async def list_operations(order_id: int, detail_id: int, work: InWork, settings: InSettings) -> list[int]:
    """What is done for a line; the United States only, empty until a service is assigned."""
    line = _operated(work, order_id, detail_id, settings)
    return [line["operation"]] if line["delivered"] and detail_id == line["detail"] else []


@router.get("/{order_id}/details/{detail_id}/operations/{operation_id}")
async def get_operation(
    order_id: int, detail_id: int, operation_id: int, *, work: InWork, settings: InSettings
) -> Json:
    """One operation, with the service's name."""
    line = _operated(work, order_id, detail_id, settings)
    if operation_id != line["operation"] or not line["delivered"]:
        raise not_found(f"operationId = {operation_id}")
    return {"id": operation_id, "type": "installation", "status": "done", "resource": {"name": line["service"]}}


def _operated(work: Work, order_id: int, detail_id: int, settings: OvhSettings) -> Document:
    if settings.region != "us":
        raise not_found("operations")
    return _line(work, order_id, detail_id)


def _line(work: Work, order_id: int, detail_id: int) -> Document:
    for line in known_order(work, order_id)["lines"]:
        if detail_id in {line["detail"], line["extra"]}:
            found: Document = line
            return found
    raise not_found(f"orderDetailId = {detail_id}")

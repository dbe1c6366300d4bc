"""Which of OVH's VPS, where: from the public catalogue and the stock, pure."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from clawdeploy_provisioner.providers.cloud.choice import Offer, best_first
from clawdeploy_provisioner.providers.protocol import ServerSpec

HOURS_A_MONTH = 730
_GB_MB = 1024
_UCENTS = 100_000_000
_CONTINENTS = (("BHS",), ("GRA", "SBG", "DE", "UK", "WAW", "RBX"), ("SGP", "SYD"))
_DATACENTER = "vps_datacenter"


def plans_that_fit(catalogue: Mapping[str, Any], spec: ServerSpec) -> dict[str, Decimal]:
    """Codes of the plans that are large enough, with their net price an hour (a month is 730 hours; sold by the month only)."""
    return {code: monthly / HOURS_A_MONTH for code, technical, monthly in plans_of(catalogue) if _fits(technical, spec)}


def plans_of(catalogue: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], Decimal]]:
    """The VPS that are sold by the month: a plan's code, what it is made of, its net price a month."""
    sizes = {product["name"]: product["blobs"]["technical"] for product in catalogue["products"] if _is_sized(product)}
    for plan in catalogue["plans"]:
        if plan["product"] in sizes and (monthly := _monthly(plan)) is not None:
            yield plan["planCode"], sizes[plan["product"]], monthly


def offers(
    fitting: Mapping[str, Decimal], stock: Mapping[str, Sequence[str]], *, spec: ServerSpec, limit: Decimal
) -> list[Offer]:
    """What may be ordered, best first; other datacenters are those of the same continent.

    Raises:
        NothingFits: nothing may.
    """
    return best_first(_near(fitting, stock, spec.region), spec=spec, limit=limit)


def in_stock(answer: Mapping[str, Any]) -> list[str]:
    """The datacenters where a plan can be ordered, by ``/vps/order/rule/datacenter``."""
    return [place["datacenter"] for place in answer["datacenters"] if place["status"] != "out-of-stock"]


def _near(fitting: Mapping[str, Decimal], stock: Mapping[str, Sequence[str]], region: str) -> Iterator[Offer]:
    continent = next((places for places in _CONTINENTS if region in places), (region,))
    for plan, hourly in fitting.items():
        for place in stock.get(plan, ()):
            if place in continent:
                yield Offer(server_type=plan, location=place, hourly=hourly)


def _is_sized(product: Mapping[str, Any]) -> bool:
    blobs: dict[str, Any] = product.get("blobs") or {}
    technical: dict[str, Any] = blobs.get("technical") or {}
    return "memory" in technical and "cpu" in technical


def _fits(technical: Mapping[str, Any], spec: ServerSpec) -> bool:
    return (
        technical["memory"]["size"] * _GB_MB >= spec.memory_mb and technical["cpu"]["cores"] * 1000 >= spec.cpu_millis
    )


def _monthly(plan: Mapping[str, Any]) -> Decimal | None:
    """What a month's renewal costs without a commitment."""
    for pricing in plan["pricings"]:
        if pricing["mode"] == "default" and "renew" in pricing["capacities"] and pricing["intervalUnit"] == "month":
            return Decimal(pricing["price"]) / _UCENTS
    return None

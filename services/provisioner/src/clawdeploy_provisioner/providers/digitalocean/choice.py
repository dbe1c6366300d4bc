"""Which of DigitalOcean's sizes, where: from the live catalogue, pure."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from clawdeploy_provisioner.providers.cloud.choice import Offer, best_first
from clawdeploy_provisioner.providers.protocol import ServerSpec

_CONTINENTS = (("nyc", "tor", "atl", "sfo", "ric"), ("ams", "fra", "lon"), ("blr", "sgp"), ("syd",))
"""By the cities that regions are named after; one that is not listed has no other near it."""


def offers(
    sizes: Sequence[dict[str, Any]], regions: Sequence[dict[str, Any]], *, spec: ServerSpec, limit: Decimal
) -> list[Offer]:
    """What may be ordered, best first; other regions are those of the same continent.

    Raises:
        NothingFits: nothing may.
    """
    near = [region["slug"] for region in regions if region["available"] and _is_near(region["slug"], spec.region)]
    fitting = [size for size in sizes if _fits(size, spec)]
    return best_first((offer for size in fitting for offer in _of(size, near)), spec=spec, limit=limit)


def _is_near(region: str, asked: str) -> bool:
    return region == asked or any(_city(region) in cities and _city(asked) in cities for cities in _CONTINENTS)


def _city(region: str) -> str:
    return region.rstrip("0123456789")


def _fits(size: dict[str, Any], spec: ServerSpec) -> bool:
    return size["available"] and size["memory"] >= spec.memory_mb and size["vcpus"] * 1000 >= spec.cpu_millis


def _of(size: dict[str, Any], near: Sequence[str]) -> Iterator[Offer]:
    for region in near:
        if region in size["regions"]:
            yield Offer(server_type=size["slug"], location=region, hourly=Decimal(size["price_hourly"]))

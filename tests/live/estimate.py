"""What a run at real accounts would cost by their live catalogues, pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from typing import Any

from tests.live.permission import LIMIT, Refused

HOURS = 2
"""A server that is sold by the hour is there for less than one; twice that is counted."""

_IPV4_HOURLY = Decimal("0.001")
"""Hetzner charges a server's IPv4 address apart: 0.0008 an hour (docs.hetzner.com/general/infrastructure-and-availability/ipv4-pricing)."""

_STEP = Decimal("0.00001")
_MAX = {"hetzner": "CLAWDEPLOY_HETZNER_MAX_HOURLY", "digitalocean": "CLAWDEPLOY_DIGITALOCEAN_MAX_HOURLY"}


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One server at one cloud; prices are net, in the account's currency. ``most`` are the settings that let nothing dearer be ordered."""

    cloud: str
    size: str
    region: str
    amount: Decimal
    said: str
    most: Mapping[str, str]


def estimate(
    cloud: str, sizes: Iterable[Mapping[str, Any]], *, region: str, memory_mb: int, cpu_millis: int
) -> Estimate:
    """The cheapest size of the region that is large enough; raises Refused when there is none."""
    fitting = [size for size in sizes if region in size["regions"] and _fits(size, memory_mb, cpu_millis)]
    if not fitting:
        raise Refused(f"{cloud} offers nothing with {memory_mb} MB in {region} at present")
    monthly = cloud == "ovh"
    chosen = min(fitting, key=lambda size: Decimal(size["monthly" if monthly else "hourly"]))
    return _by_the_month(chosen, region) if monthly else _by_the_hour(cloud, chosen, region)


def within(estimates: Sequence[Estimate], limit: Decimal) -> str:
    """What is said before anything is ordered; raises Refused when it is above the limit."""
    total = sum((each.amount for each in estimates), Decimal(0))
    lines = [f"  {each.cloud}: {each.size} in {each.region}, {each.said}" for each in estimates]
    said = "\n".join([*lines, f"  together at most {total}, before tax; the limit is {limit}"])
    if total > limit:
        raise Refused(f"it would cost more than {LIMIT} allows:\n{said}")
    return said


def _fits(size: Mapping[str, Any], memory_mb: int, cpu_millis: int) -> bool:
    return size["memory_mb"] >= memory_mb and size["vcpus"] * 1000 >= cpu_millis


def _by_the_month(size: Mapping[str, Any], region: str) -> Estimate:
    price = Decimal(size["monthly"])
    return Estimate(
        cloud="ovh",
        size=size["id"],
        region=region,
        amount=price,
        said=f"{price} for the month, of which nothing is given back",
        most={"CLAWDEPLOY_OVH_MAX_MONTHLY": str(price)},
    )


def _by_the_hour(cloud: str, size: Mapping[str, Any], region: str) -> Estimate:
    price = Decimal(size["hourly"]).quantize(_STEP, rounding=ROUND_UP)
    address = _IPV4_HOURLY if cloud == "hetzner" else Decimal(0)
    amount = HOURS * (price + address)
    return Estimate(
        cloud=cloud,
        size=size["id"],
        region=region,
        amount=amount,
        said=f"{HOURS} hours at {price}" + (f" and {address} for its address" if address else "") + f": {amount}",
        most={_MAX[cloud]: str(price)},
    )

"""Which server type and location: from the live catalogue, pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from clawdeploy_common.errors import PermanentError
from clawdeploy_provisioner.providers.protocol import ProviderError

_ARCHITECTURE = "x86"
_GB_MB = 1024


class NothingFits(ProviderError, PermanentError):
    """No server type is large enough, offered, and within the price limit."""

    code = "no-server-type"
    title = "Hetzner offers nothing that fits"


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A server type at a location, at its net price an hour in the account's currency."""

    server_type: str
    location: str
    hourly: Decimal


def offers(
    types: Sequence[dict[str, Any]],
    locations: Sequence[dict[str, Any]],
    *,
    region: str,
    memory_mb: int,
    cpu_millis: int,
    limit: Decimal,
) -> list[Offer]:
    """What may be ordered, best first: the asked location before others of its network zone, cheap before dear.

    Raises:
        NothingFits: nothing may.
    """
    zones = {place["name"]: place["network_zone"] for place in locations}
    near = [name for name, zone in zones.items() if zone == zones.get(region)]
    fitting = [kind for kind in types if _fits(kind, memory_mb=memory_mb, cpu_millis=cpu_millis)]
    found = [offer for kind in fitting for offer in _of(kind, near) if offer.hourly <= limit]
    if not found:
        raise NothingFits(f"no server type with {memory_mb} MB at or near {region} for at most {limit} an hour")
    return sorted(found, key=lambda offer: (offer.location != region, offer.hourly, offer.location, offer.server_type))


def _fits(kind: dict[str, Any], *, memory_mb: int, cpu_millis: int) -> bool:
    return (
        kind.get("architecture") == _ARCHITECTURE
        and kind["memory"] * _GB_MB >= memory_mb
        and kind["cores"] * 1000 >= cpu_millis
        and not kind.get("deprecation")
    )


def _of(kind: dict[str, Any], near: Sequence[str]) -> list[Offer]:
    prices = {price["location"]: Decimal(price["price_hourly"]["net"]) for price in kind["prices"]}
    places = kind.get("locations")
    open_at = (
        prices if places is None else {p["name"] for p in places if p.get("available") and not p.get("deprecation")}
    )
    return [
        Offer(server_type=kind["name"], location=name, hourly=prices[name])
        for name in near
        if name in prices and name in open_at
    ]

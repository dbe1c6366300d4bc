"""Which of Hetzner's server types, where: from the live catalogue, pure."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from clawdeploy_provisioner.providers.cloud.choice import Offer, best_first
from clawdeploy_provisioner.providers.protocol import ServerSpec

_ARCHITECTURE = "x86"
_GB_MB = 1024


def offers(
    types: Sequence[dict[str, Any]], locations: Sequence[dict[str, Any]], *, spec: ServerSpec, limit: Decimal
) -> list[Offer]:
    """What may be ordered, best first; other locations are those of the asked one's network zone.

    Raises:
        NothingFits: nothing may.
    """
    zones = {place["name"]: place["network_zone"] for place in locations}
    near = [name for name, zone in zones.items() if zone == zones.get(spec.region)]
    fitting = [kind for kind in types if _fits(kind, spec)]
    return best_first((offer for kind in fitting for offer in _of(kind, near)), spec=spec, limit=limit)


def _fits(kind: dict[str, Any], spec: ServerSpec) -> bool:
    return (
        kind.get("architecture") == _ARCHITECTURE
        and kind["memory"] * _GB_MB >= spec.memory_mb
        and kind["cores"] * 1000 >= spec.cpu_millis
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

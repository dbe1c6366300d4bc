"""What to order where: cheap before dear, pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from clawdeploy_common.errors import PermanentError
from clawdeploy_provisioner.providers.protocol import ProviderError, ServerSpec


class NothingFits(ProviderError, PermanentError):
    """No server type is large enough, offered, and within the price limit."""

    code = "no-server-type"
    title = "The cloud offers nothing that fits"


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A server type at a location, at its net price an hour in the account's currency."""

    server_type: str
    location: str
    hourly: Decimal


def best_first(found: Iterable[Offer], *, spec: ServerSpec, limit: Decimal) -> list[Offer]:
    """What may be ordered: the asked location before others, cheap before dear.

    Raises:
        NothingFits: nothing may.
    """
    offers = [offer for offer in found if offer.hourly <= limit]
    if not offers:
        reason = f"no server type with {spec.memory_mb} MB at or near {spec.region} for at most {limit} an hour"
        raise NothingFits(reason)
    return sorted(
        offers, key=lambda offer: (offer.location != spec.region, offer.hourly, offer.location, offer.server_type)
    )

"""The price book as a value: which rates hold for what, and when."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from clawdeploy_common.errors import PermanentError


class PriceMissing(PermanentError):
    """No version of the price book has a price for a provider's plan."""

    code = "price-missing"
    title = "The price book has no price for this plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Micro-USD per hour in either book."""

    cost_micros_per_hour: int
    charge_micros_per_hour: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBookVersion:
    """One version; ``rates`` by (provider, plan), ``event_id`` is the event that announced it."""

    version: int
    valid_from: datetime
    rates: Mapping[tuple[str, str], Rates]
    llm_charge_percent: int
    event_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """Rates of one plan from a moment on, by a price book version."""

    since: datetime
    rates: Rates
    price_version: int
    event_id: UUID | None


@dataclass(frozen=True, slots=True)
class PriceBook:
    """All versions, oldest first; never empty."""

    versions: Sequence[PriceBookVersion]

    def agreed(self, version: int, *, at: datetime) -> PriceBookVersion:
        """The version that was agreed; when it is not in the book, the one valid at that moment, at least the first."""
        known = [v for v in self.versions if v.version == version]
        valid = [v for v in self.versions if v.valid_from <= at]
        return (known or valid[-1:] or [self.versions[0]])[0]

    def in_force(self, version: int, *, since: datetime, at: datetime) -> PriceBookVersion:
        """The version that holds at a moment for something agreed ``since``: what was agreed, until a later one took effect."""
        later = [v for v in self.versions if since < v.valid_from <= at and v.version > version]
        return later[-1] if later else self.agreed(version, at=since)

    def tariffs(self, provider: str, plan: str, *, version: int, since: datetime) -> Sequence[Tariff]:
        """The rates of a server from its beginning, a new tariff wherever they change; raises PriceMissing."""
        found = list(self._tariffs(provider, plan, version=version, since=since))
        if not found:
            raise PriceMissing(f"no price for plan {plan} at {provider} in version {version}")
        return found

    def _tariffs(self, provider: str, plan: str, *, version: int, since: datetime) -> Iterator[Tariff]:
        agreed = self.agreed(version, at=since)
        later = [v for v in self.versions if v.valid_from > since and v.version > agreed.version]
        current: Rates | None = None
        for step in (agreed, *later):
            rates = step.rates.get((provider, plan))
            if rates is None or rates == current:
                continue
            first = current is None
            current = rates
            yield Tariff(
                since=since if first else step.valid_from,
                rates=rates,
                price_version=step.version,
                event_id=None if first else step.event_id,
            )

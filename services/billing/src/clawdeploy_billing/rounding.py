"""How time becomes money: pure integer arithmetic, by the rounding of whoever sends the bill."""

from dataclasses import dataclass
from datetime import datetime, timedelta

SECONDS_PER_HOUR = 3600
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class BillingRule:
    """A provider's rounding: time counts in units of ``unit_seconds``, a begun unit counts whole when ``begun_counts``."""

    unit_seconds: int = 1
    begun_counts: bool = False

    def seconds(self, elapsed: int) -> int:
        """Billed seconds of a server that has existed for ``elapsed`` seconds."""
        units = -(-elapsed // self.unit_seconds) if self.begun_counts else elapsed // self.unit_seconds
        return units * self.unit_seconds


PER_SECOND = BillingRule()
BEGUN_HOURS = BillingRule(unit_seconds=SECONDS_PER_HOUR, begun_counts=True)
RULES = {"process": PER_SECOND, "docker": PER_SECOND, "hetzner": BEGUN_HOURS}
"""By provider. Hetzner: docs.hetzner.com/cloud/billing/faq, a few minutes are billed as a full hour."""


def rule_of(provider: str) -> BillingRule:
    """The rounding of a provider's bill; a provider without a rule of its own bills by the second."""
    return RULES.get(provider, PER_SECOND)


def elapsed_seconds(since: datetime, until: datetime) -> int:
    """Whole seconds between two moments, never negative."""
    return max(0, (until - since) // _SECOND)


def micros(seconds: int, *, per_hour: int) -> int:
    """The amount for some seconds at an hourly rate, rounded down once, at the end."""
    return seconds * per_hour // SECONDS_PER_HOUR


def percent(amount: int, hundredths: int) -> int:
    """``hundredths`` percent of an amount, rounded down."""
    return amount * hundredths // 100

"""How time becomes money: pure integer arithmetic, by the rounding of whoever sends the bill."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from clawdeploy_billing.months import months_begun, months_later, months_paid

SECONDS_PER_HOUR = 3600
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class BillingRule:
    """A provider's rounding: time counts in units of ``unit_seconds``, a begun unit counts whole when ``begun_counts``.

    A server costs ``least_micros`` and ``least_seconds`` at least. Where ``month_hours`` is set, each calendar month (UTC) counts by
    itself and costs that many hours at most.
    """

    unit_seconds: int = 1
    begun_counts: bool = False
    least_seconds: int = 0
    least_micros: int = 0
    month_hours: int | None = None

    def seconds(self, since: datetime, until: datetime) -> int:
        """Billed seconds of a server from its beginning until a moment."""
        return self._rounded(elapsed_seconds(since, until))

    def paid(self, since: datetime, until: datetime) -> datetime:
        """The moment until which is charged, where the provider names one."""
        del since
        return until

    def _rounded(self, elapsed: int) -> int:
        units = -(-elapsed // self.unit_seconds) if self.begun_counts else elapsed // self.unit_seconds
        return units * self.unit_seconds

    def cost(self, since: datetime, until: datetime, *, per_hour: int) -> int:
        """Micro-units for a server from its beginning until a moment; 0 at its beginning."""
        if until <= since:
            return 0
        until = max(until, since + self.least_seconds * _SECOND)
        spans = [(since, until)] if self.month_hours is None else list(_months(since, until))
        counted = (self._capped(self._rounded(elapsed_seconds(begin, end))) for begin, end in spans)
        return max(self.least_micros, sum(micros(seconds, per_hour=per_hour) for seconds in counted))

    def _capped(self, seconds: int) -> int:
        return seconds if self.month_hours is None else min(seconds, self.month_hours * SECONDS_PER_HOUR)


@dataclass(frozen=True, slots=True)
class BegunMonths:
    """A provider that sells calendar months, counted from the order and paid ahead; each costs ``month_hours`` at the hourly rate."""

    month_hours: int = 730

    def seconds(self, since: datetime, until: datetime) -> int:
        """Billed seconds: the begun months whole, each as long as its price."""
        return months_begun(since, until) * self.month_hours * SECONDS_PER_HOUR

    def cost(self, since: datetime, until: datetime, *, per_hour: int) -> int:
        """Micro-units for the begun months; 0 at the beginning."""
        return micros(self.seconds(since, until), per_hour=per_hour)

    def paid(self, since: datetime, until: datetime) -> datetime:
        """The end of the month that the provider means, which names its day only."""
        return months_later(since, months_paid(since, until))


Rule = BillingRule | BegunMonths


def _months(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    while since < until:
        first = since.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        following = (first + timedelta(days=32)).replace(day=1)
        yield since, min(following, until)
        since = following


PER_SECOND = BillingRule()
BEGUN_HOURS = BillingRule(unit_seconds=SECONDS_PER_HOUR, begun_counts=True, month_hours=624)
DROPLETS = BillingRule(least_seconds=60, least_micros=10_000, month_hours=672)
BEGUN_MONTHS = BegunMonths()
RULES: dict[str, Rule] = {
    "process": PER_SECOND,
    "docker": PER_SECOND,
    "hetzner": BEGUN_HOURS,
    "digitalocean": DROPLETS,
    "ovh": BEGUN_MONTHS,
    "own": PER_SECOND,
}
"""By provider. Hetzner: docs.hetzner.com/cloud/billing/faq, a few minutes are billed as a full hour. DigitalOcean: by the second since
1 January 2026, 60 seconds and one cent at least, a month 28 days at most. Both publish hourly and monthly prices rounded on their own:
a month at its cap agrees with the monthly price to the rounding of the hourly one. OVH: a begun month,
by the calendar and from the order on, is paid ahead and nothing of it is given back; a server that was given up is paid until its contract
ends (its price is told by the hour here: a month costs 730 of them)."""


def rule_of(provider: str) -> Rule:
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

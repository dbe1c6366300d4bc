"""What a reading of a key's cumulative usage means: pure decisions (round the cumulative figure, then subtract)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from enum import StrEnum

from clawdeploy_billing.rounding import percent

_MICROS_PER_DOLLAR = 1_000_000
ACTIVE_FOR = timedelta(minutes=2)
_ACTIVE_DIVISOR = 5


class Verdict(StrEnum):
    """What a reading is."""

    USAGE = "usage"
    NOTHING_NEW = "nothing_new"
    ANOMALY = "anomaly"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict and what is to be booked for it, in micro-USD."""

    verdict: Verdict
    cost_micros: int = 0
    charge_micros: int = 0


def micros_of(dollars: Decimal | int) -> int:
    """A cumulative figure in USD as whole micro-USD, rounded down."""
    return int((Decimal(dollars) * _MICROS_PER_DOLLAR).to_integral_value(ROUND_FLOOR))


def judge(cumulative_micros: int, *, highest_micros: int, charge_percent: int) -> Judgement:
    """Compare a reading with the highest one before.

    The charge, too, is rounded as a cumulative figure and then subtracted: at one percentage nothing is lost over many windows.
    """
    if cumulative_micros < highest_micros:
        return Judgement(verdict=Verdict.ANOMALY)
    if cumulative_micros == highest_micros:
        return Judgement(verdict=Verdict.NOTHING_NEW)
    charged = percent(cumulative_micros, charge_percent) - percent(highest_micros, charge_percent)
    return Judgement(verdict=Verdict.USAGE, cost_micros=cumulative_micros - highest_micros, charge_micros=charged)


def is_final(read_at: datetime, *, revoked_at: datetime | None, grace: timedelta) -> bool:
    """Whether a reading is the key's last: it began after the revocation, and late figures had time to arrive."""
    return revoked_at is not None and read_at >= revoked_at + grace


def next_reading(now: datetime, *, active_since: datetime, interval: timedelta) -> datetime:
    """When to read again: five times as often while the key is new or spent something lately."""
    active = now - active_since < ACTIVE_FOR
    return now + (interval / _ACTIVE_DIVISOR if active else interval)

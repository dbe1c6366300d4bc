"""DigitalOcean's rounding: by the second since 1 January 2026, but 60 seconds and one cent at least.

A calendar month costs the monthly price at most. Each month's amount is rounded down to the micro-dollar once.
Source: DigitalOcean's announcement of per-second billing, effective 1 January 2026.
"""

from datetime import datetime, timedelta

from clawdeploy_emulators.cloud.billing import months
from clawdeploy_emulators.cloud.rentals import Rental

SECONDS_PER_HOUR = 3600
LEAST_SECONDS = 60
LEAST_MICROS = 10_000
_SECOND = timedelta(seconds=1)


def charge(rental: Rental, now: datetime) -> int:
    """Micro-dollars for a rental until it ended, or until now."""
    until = max(min(rental.until or now, now), rental.since + LEAST_SECONDS * _SECOND)
    total = sum(_month((to - since) // _SECOND, rental) for since, to in months(rental.since, until))
    return max(total, LEAST_MICROS)


def _month(seconds: int, rental: Rental) -> int:
    return min(seconds * rental.rate.hourly_micros // SECONDS_PER_HOUR, rental.rate.monthly_micros)

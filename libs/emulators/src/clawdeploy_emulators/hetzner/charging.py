"""Hetzner's rounding: every begun hour counts whole, and a calendar month costs its monthly price at most.

Source: docs.hetzner.com/cloud/billing/faq (a few minutes are billed as a full hour; off is billed too; only deletion
ends it).
"""

from datetime import datetime

from clawdeploy_emulators.cloud.billing import months
from clawdeploy_emulators.cloud.rentals import Rental

SECONDS_PER_HOUR = 3600


def charge(rental: Rental, now: datetime) -> int:
    """Micro-euros, net, for a rental until it ended, or until now."""
    total = 0
    for since, until in months(rental.since, min(rental.until or now, now)):
        hours = -(-(until - since).total_seconds() // SECONDS_PER_HOUR)
        total += min(int(hours) * rental.rate.hourly_micros, rental.rate.monthly_micros)
    return total

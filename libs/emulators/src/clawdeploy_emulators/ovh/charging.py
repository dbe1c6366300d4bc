"""OVH's rounding: begun months whole, from the order on; nothing is given back for the rest of one.

Source: VPS are sold by the month (P1M), paid ahead.
"""

import calendar
from datetime import datetime
from itertools import count

from clawdeploy_emulators.cloud.rentals import Rental


def months_later(moment: datetime, months: int) -> datetime:
    """The same day of a later month, or its last one."""
    year, month = divmod(moment.month - 1 + months, 12)
    year, month = moment.year + year, month + 1
    return moment.replace(year=year, month=month, day=min(moment.day, calendar.monthrange(year, month)[1]))


def charge(rental: Rental, now: datetime) -> int:
    """Micro-euros for a rental until it ended, or until now; a cancelled order ended when it began, and is paid back."""
    if rental.until == rental.since:
        return 0
    until = min(rental.until or now, now)
    begun = next(number for number in count(1) if months_later(rental.since, number) >= until)
    return begun * rental.rate.monthly_micros

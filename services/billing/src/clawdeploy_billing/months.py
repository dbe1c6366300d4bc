"""Calendar months counted from a moment: what is sold by the month ends on the same day of a later one."""

import calendar
from datetime import UTC, datetime


def months_later(since: datetime, months: int) -> datetime:
    """The same day (UTC) of a later month, or its last one."""
    since = since.astimezone(UTC)
    years, month = divmod(since.month - 1 + months, 12)
    year, month = since.year + years, month + 1
    return since.replace(year=year, month=month, day=min(since.day, calendar.monthrange(year, month)[1]))


def months_begun(since: datetime, until: datetime) -> int:
    """How many months from a moment on had begun before another; 0 at the moment itself."""
    whole = _between(since, until)
    return max(0, whole + (months_later(since, whole) < until))


def months_paid(since: datetime, until: datetime) -> int:
    """How many months a provider means that names their end, by the day and by its own clock: the nearest number, one at least."""
    whole = _between(since, until)
    near = range(max(1, whole - 1), max(1, whole + 1) + 1)
    return min(near, key=lambda months: abs(months_later(since, months) - until))


def _between(since: datetime, until: datetime) -> int:
    since, until = since.astimezone(UTC), until.astimezone(UTC)
    return (until.year - since.year) * 12 + until.month - since.month

"""How long something was rented, month by month: the basis of every cloud's own rounding."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from clawdeploy_emulators.cloud.rentals import Rental
from clawdeploy_emulators.store import stamp

Charge = Callable[[Rental, datetime], int]
"""Micro-units charged for a rental until a moment, by the provider's rounding."""


def months(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The parts of a span that lie in one UTC calendar month each."""
    while since < until:
        following = (since.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=32)).replace(
            day=1
        )
        yield since, min(following, until)
        since = following


def bill(rentals: list[Rental], *, currency: str, charge: Charge, now: datetime) -> dict[str, Any]:
    """What the provider would ask for until now, a line per rental."""
    charged = [charge(rental, now) for rental in rentals]
    return {
        "currency": currency,
        "as_of": stamp(now),
        "lines": [_line(rental, micros) for rental, micros in zip(rentals, charged, strict=True)],
        "total_micros": sum(charged),
    }


def _line(rental: Rental, micros: int) -> dict[str, Any]:
    return {
        "server_id": rental.server_id,
        "name": rental.name,
        "item": rental.item,
        "place": rental.place,
        "since": stamp(rental.since),
        "until": None if rental.until is None else stamp(rental.until),
        "charged_micros": micros,
    }

"""Cost now: closed meters, open meters up to this moment, and LLM usage. Integer micro-units, rounded down; pure arithmetic."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

_HOUR_IN_MICROSECONDS = 3_600_000_000


@dataclass(frozen=True, kw_only=True)
class MeterReading:
    """A server's meter. A closed one has final amounts; an open one runs from ``since`` at its rates.

    ``charged_until`` ends the charge of an open one while its cost goes on: an accepted destroy, or a failed deployment (then it is
    ``since``).
    """

    instance_id: UUID
    price_version: int
    closed: bool
    since: datetime | None = None
    cost_micros_per_hour: int = 0
    charge_micros_per_hour: int = 0
    seconds: int = 0
    cost_micros: int = 0
    charge_micros: int = 0
    charged_until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class UsageTotal:
    """LLM usage of an instance under one price version."""

    instance_id: UUID
    price_version: int
    cost_micros: int
    charge_micros: int


@dataclass(frozen=True, kw_only=True)
class Line:
    """What one kind of thing cost under one price version."""

    kind: Literal["server", "llm"]
    quantity: int
    unit: Literal["second", "usd_micros"]
    cost_micros: int
    charge_micros: int
    price_version: int


def accrued(rate_micros_per_hour: int, elapsed: timedelta) -> int:
    """What a rate comes to, rounded down; nothing for a time that has not begun."""
    microseconds = max(elapsed, timedelta()) // timedelta(microseconds=1)
    return microseconds * rate_micros_per_hour // _HOUR_IN_MICROSECONDS


def server_line(meter: MeterReading, *, now: datetime) -> Line:
    """One meter as of ``now``."""
    if meter.closed or meter.since is None:
        seconds, cost, charge = meter.seconds, meter.cost_micros, meter.charge_micros
    else:
        elapsed = max(now - meter.since, timedelta())
        charged = min(now, meter.charged_until or now) - meter.since
        seconds = elapsed // timedelta(seconds=1)
        cost = accrued(meter.cost_micros_per_hour, elapsed)
        charge = accrued(meter.charge_micros_per_hour, charged)
    return Line(
        kind="server",
        quantity=seconds,
        unit="second",
        cost_micros=cost,
        charge_micros=charge,
        price_version=meter.price_version,
    )


def llm_line(usage: UsageTotal) -> Line:
    """One total; its quantity is what the LLM provider asked for it."""
    return Line(
        kind="llm",
        quantity=usage.cost_micros,
        unit="usd_micros",
        cost_micros=usage.cost_micros,
        charge_micros=usage.charge_micros,
        price_version=usage.price_version,
    )


def summed(lines: Iterable[Line]) -> list[Line]:
    """One line per kind and price version; servers first."""
    groups: dict[tuple[str, int], list[Line]] = defaultdict(list)
    for line in lines:
        groups[line.kind, line.price_version].append(line)
    ordered = sorted(groups.values(), key=lambda group: (group[0].kind != "server", group[0].price_version))
    return [_sum(group) for group in ordered]


def _sum(group: list[Line]) -> Line:
    return Line(
        kind=group[0].kind,
        quantity=sum(line.quantity for line in group),
        unit=group[0].unit,
        cost_micros=sum(line.cost_micros for line in group),
        charge_micros=sum(line.charge_micros for line in group),
        price_version=group[0].price_version,
    )

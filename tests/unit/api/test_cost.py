"""Cost now, to the micro-unit."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from clawdeploy_api.cost import MeterReading, UsageTotal, accrued, llm_line, server_line, summed

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
INSTANCE = uuid4()


def open_meter(*, since: datetime, charged_until: datetime | None = None) -> MeterReading:
    return MeterReading(
        instance_id=INSTANCE,
        price_version=1,
        closed=False,
        since=since,
        cost_micros_per_hour=5_001,
        charge_micros_per_hour=7_000,
        charged_until=charged_until,
    )


@pytest.mark.parametrize(
    ("rate", "elapsed", "expected"),
    [
        (3600, timedelta(seconds=1), 1),
        (3599, timedelta(seconds=1), 0),
        (5_001, timedelta(hours=1), 5_001),
        (5_001, timedelta(hours=1) - timedelta(microseconds=1), 5_000),
        (7_000, timedelta(seconds=-5), 0),
        (10**15, timedelta(days=365), 10**15 * 24 * 365),
    ],
)
def test_a_rate_comes_to_whole_micros_rounded_down(rate: int, elapsed: timedelta, expected: int) -> None:
    """INVARIANT: money is integer micro-units, never a float."""
    assert accrued(rate, elapsed) == expected


def test_an_open_meter_runs_until_now() -> None:
    line = server_line(open_meter(since=NOW - timedelta(minutes=30)), now=NOW)
    assert (line.quantity, line.cost_micros, line.charge_micros) == (1800, 2_500, 3_500)


def test_after_an_accepted_destroy_the_cost_goes_on_and_the_charge_does_not() -> None:
    """INVARIANT: after an accepted destroy, cost is the operator's."""
    since = NOW - timedelta(hours=2)
    line = server_line(open_meter(since=since, charged_until=since + timedelta(hours=1)), now=NOW)
    assert (line.cost_micros, line.charge_micros) == (10_002, 7_000)


def test_a_failed_deployment_charges_nothing() -> None:
    since = NOW - timedelta(hours=1)
    line = server_line(open_meter(since=since, charged_until=since), now=NOW)
    assert (line.cost_micros, line.charge_micros) == (5_001, 0)


def test_a_closed_meter_has_its_final_amounts() -> None:
    meter = MeterReading(
        instance_id=INSTANCE, price_version=2, closed=True, seconds=60, cost_micros=83, charge_micros=116
    )
    line = server_line(meter, now=NOW)
    assert (line.quantity, line.cost_micros, line.charge_micros) == (60, 83, 116)


def test_lines_are_summed_by_kind_and_price_version() -> None:
    closed = MeterReading(instance_id=INSTANCE, price_version=1, closed=True, seconds=1, cost_micros=2, charge_micros=3)
    other = MeterReading(instance_id=INSTANCE, price_version=2, closed=True, seconds=5, cost_micros=7, charge_micros=9)
    used = UsageTotal(instance_id=INSTANCE, price_version=1, cost_micros=11, charge_micros=13)
    found = summed([llm_line(used), *(server_line(m, now=NOW) for m in (closed, other, closed))])
    assert [(line.kind, line.price_version, line.quantity, line.cost_micros, line.charge_micros) for line in found] == [
        ("server", 1, 2, 4, 6),
        ("server", 2, 5, 7, 9),
        ("llm", 1, 11, 11, 13),
    ]

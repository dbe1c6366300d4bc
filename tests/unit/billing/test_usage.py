"""What a reading means."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawdeploy_billing.usage import Verdict, is_final, judge, micros_of, next_reading

NOW = datetime(2026, 1, 5, tzinfo=UTC)
FIVE = timedelta(seconds=5)


@pytest.mark.parametrize(
    ("dollars", "expected"),
    [
        (Decimal("0.000001"), 1),
        (Decimal("0.0000019"), 1),
        (Decimal("1E-7"), 0),
        (Decimal("0.29"), 290_000),
        (Decimal("1234567.891234"), 1_234_567_891_234),
        (25, 25_000_000),
    ],
)
def test_a_figure_is_whole_micro_dollars_rounded_down(dollars: Decimal | int, expected: int) -> None:
    assert micros_of(dollars) == expected


@given(st.lists(st.integers(0, 10**9), min_size=1), st.integers(0, 500))
def test_readings_of_a_growing_figure_book_exactly_its_last_value(steps: list[int], rate: int) -> None:
    """INVARIANT: however often a figure is read, the sum of what is booked is the figure."""
    highest = cost = charge = 0
    for step in steps:
        found = judge(highest + step, highest_micros=highest, charge_percent=rate)
        cost, charge, highest = cost + found.cost_micros, charge + found.charge_micros, highest + step
    assert (cost, charge) == (highest, highest * rate // 100)


def test_a_lower_figure_books_nothing() -> None:
    found = judge(4, highest_micros=5, charge_percent=100)
    assert (found.verdict, found.cost_micros, found.charge_micros) == (Verdict.ANOMALY, 0, 0)


def test_a_reading_is_final_only_after_the_grace() -> None:
    grace = timedelta(seconds=60)
    assert not is_final(NOW, revoked_at=None, grace=grace)
    assert not is_final(NOW + timedelta(seconds=59), revoked_at=NOW, grace=grace)
    assert is_final(NOW + grace, revoked_at=NOW, grace=grace)


def test_a_key_that_was_active_lately_is_read_five_times_as_often() -> None:
    assert next_reading(NOW, active_since=NOW - timedelta(minutes=1), interval=FIVE) == NOW + timedelta(seconds=1)
    assert next_reading(NOW, active_since=NOW - timedelta(minutes=3), interval=FIVE) == NOW + FIVE

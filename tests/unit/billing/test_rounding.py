"""Time becomes money in whole numbers."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from clawdeploy_billing.rounding import PER_SECOND, BillingRule, elapsed_seconds, micros, percent

START = datetime(2026, 1, 5, tzinfo=UTC)
BEGUN_HOURS = BillingRule(unit_seconds=3600, begun_counts=True)


def test_a_second_counts_when_it_is_over() -> None:
    assert elapsed_seconds(START, START + timedelta(milliseconds=1999)) == 1
    assert elapsed_seconds(START, START - timedelta(hours=1)) == 0


def test_a_begun_hour_counts_whole_where_the_provider_says_so() -> None:
    assert [BEGUN_HOURS.seconds(s) for s in (0, 1, 3600, 3601)] == [0, 3600, 3600, 7200]
    assert [PER_SECOND.seconds(s) for s in (0, 1, 3601)] == [0, 1, 3601]


def test_five_dollars_a_month_are_charged_by_the_second() -> None:
    assert micros(730 * 3600, per_hour=6_849) == 4_999_770
    assert micros(1, per_hour=6_849) == 1


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_an_amount_is_never_more_than_the_exact_one(seconds: int, per_hour: int) -> None:
    assert 0 <= seconds * per_hour - micros(seconds, per_hour=per_hour) * 3600 < 3600


@given(st.lists(st.integers(0, 10**7), min_size=1), st.integers(0, 1000))
def test_a_percentage_of_a_growing_figure_loses_nothing_by_being_taken_in_parts(parts: list[int], rate: int) -> None:
    """INVARIANT: round the cumulative figure, then subtract: the parts add up to the whole."""
    total, charged = 0, 0
    for part in parts:
        charged += percent(total + part, rate) - percent(total, rate)
        total += part
    assert charged == percent(total, rate)

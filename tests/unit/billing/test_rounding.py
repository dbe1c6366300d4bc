"""Time becomes money in whole numbers."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawdeploy_billing.months import months_begun, months_later, months_paid
from clawdeploy_billing.rounding import PER_SECOND, BillingRule, elapsed_seconds, micros, percent, rule_of

START = datetime(2026, 1, 5, tzinfo=UTC)
BEGUN_HOURS = BillingRule(unit_seconds=3600, begun_counts=True)


def after(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def test_a_second_counts_when_it_is_over() -> None:
    assert elapsed_seconds(START, START + timedelta(milliseconds=1999)) == 1
    assert elapsed_seconds(START, START - timedelta(hours=1)) == 0


def test_a_begun_hour_counts_whole_where_the_provider_says_so() -> None:
    assert [BEGUN_HOURS.seconds(START, after(s)) for s in (0, 1, 3600, 3601)] == [0, 3600, 3600, 7200]
    assert [PER_SECOND.seconds(START, after(s)) for s in (0, 1, 3601)] == [0, 1, 3601]


@pytest.mark.parametrize(
    ("since", "until", "months"),
    [
        ("2026-01-05T12:00", "2026-01-05T12:00", 0),
        ("2026-01-05T12:00", "2026-01-05T13:00", 1),
        ("2026-01-05T12:00", "2026-02-05T12:00", 1),  # 31 days, 744 hours
        ("2026-01-05T12:00", "2026-02-05T12:01", 2),
        ("2026-02-05T12:00", "2026-03-05T12:01", 2),  # 28 days and a minute
        ("2026-01-31T12:00", "2026-02-28T12:00", 1),
        ("2026-01-31T12:00", "2026-03-31T12:00", 2),
        ("2025-12-31T12:00", "2027-01-01T00:00", 13),
    ],
)
def test_a_month_is_the_calendars_from_the_order_on(since: str, until: str, months: int) -> None:
    begin, end = (datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in (since, until))
    assert months_begun(begin, end) == months
    assert rule_of("ovh").cost(begin, end, per_hour=6_274) == months * 730 * 6_274


@given(
    since=st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - with its zone
    months=st.integers(1, 40),
    off=st.timedeltas(timedelta(days=-2), timedelta(days=2)),
)
def test_the_month_a_provider_means_is_found_by_its_day(since: datetime, months: int, off: timedelta) -> None:
    """INVARIANT: a day told without a time, in another zone, by another clock, is still the end of that month."""
    assert months_paid(since, months_later(since, months) + off) == months


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

"""Which meters follow from the facts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawdeploy_billing.metering import Amounts, Moment, Outcome, Segment, ServerFacts, amounts, segments
from clawdeploy_billing.pricing import PriceBook, PriceBookVersion, PriceMissing, Rates
from clawdeploy_billing.rounding import PER_SECOND, BillingRule, rule_of
from clawdeploy_emulators.cloud.rentals import Rate, Rental
from clawdeploy_emulators.digitalocean.charging import charge
from clawdeploy_emulators.ovh.charging import charge as ovh_charge
from clawdeploy_emulators.ovh.charging import months_later as ovh_months_later

START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
BEGUN_HOURS = BillingRule(unit_seconds=3600, begun_counts=True)


def at(hours: float) -> Moment:
    return Moment(at=START + hours * HOUR, event_id=uuid4())


def version(number: int, *, hours: float, cost: int = 1_000, charge: int = 3_000) -> PriceBookVersion:
    rates = Rates(cost_micros_per_hour=cost, charge_micros_per_hour=charge)
    return PriceBookVersion(
        version=number,
        valid_from=START + hours * HOUR,
        rates={("process", "basic"): rates},
        llm_charge_percent=100,
        event_id=uuid4(),
    )


BOOK = PriceBook([version(1, hours=-100), version(2, hours=4, charge=6_000)])
ACCEPTED = at(0)


def life(
    *,
    outcome: Outcome | None = "succeeded",
    requested: Moment | None = None,
    destroyed: Moment | None = None,
    price_version: int = 1,
) -> ServerFacts:
    return ServerFacts(
        provider="process",
        plan="basic",
        price_version=price_version,
        accepted=ACCEPTED,
        outcome=outcome,
        outcome_event_id=uuid4() if outcome else None,
        destroy_requested=requested,
        destroyed=destroyed,
    )


def hours_of(found: list[Segment]) -> list[tuple[float, float | None, int]]:
    return [
        (
            (s.since - START) / HOUR,
            None if s.until is None else (s.until - START) / HOUR,
            s.rates.charge_micros_per_hour,
        )
        for s in found
    ]


def test_a_life_is_cut_where_the_price_changes_and_where_the_charge_stops() -> None:
    found = segments(life(requested=at(6), destroyed=at(7)), BOOK)
    assert hours_of(found) == [(0, 4, 3_000), (4, 6, 6_000), (6, 7, 0)]
    assert [s.price_version for s in found] == [1, 2, 2]


def test_while_the_outcome_is_open_so_is_the_meter() -> None:
    assert hours_of(segments(life(outcome=None, requested=at(1), destroyed=at(2)), BOOK)) == [(0, None, 3_000)]


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
def test_an_unsuccessful_deployment_is_never_charged(outcome: Outcome) -> None:
    found = segments(life(outcome=outcome, requested=at(1), destroyed=at(2)), BOOK)
    assert hours_of(found) == [(0, 2, 0)]


def test_a_server_accepted_after_the_destroy_request_is_never_charged() -> None:
    assert hours_of(segments(life(requested=at(-1), destroyed=at(1)), BOOK)) == [(0, 1, 0)]


def test_the_agreed_price_holds_until_a_later_one_takes_effect() -> None:
    book = PriceBook([version(1, hours=-100), version(2, hours=-1, charge=9_000), version(3, hours=2, charge=1)])
    assert hours_of(segments(life(destroyed=at(3)), book)) == [(0, 2, 3_000), (2, 3, 1)]


def test_a_version_that_changes_nothing_for_the_plan_cuts_nothing() -> None:
    book = PriceBook([version(1, hours=-100), version(2, hours=1)])
    assert hours_of(segments(life(destroyed=at(3)), book)) == [(0, 3, 3_000)]


def test_an_unknown_price_version_is_the_one_valid_then() -> None:
    assert segments(life(price_version=77), BOOK)[0].price_version == 1


def test_a_plan_without_a_price_is_an_error_not_a_gift() -> None:
    with pytest.raises(PriceMissing):
        segments(
            life(),
            PriceBook(
                [PriceBookVersion(version=1, valid_from=START, rates={}, llm_charge_percent=100, event_id=uuid4())]
            ),
        )


def test_begun_hours_are_counted_once_however_often_the_price_changes() -> None:
    facts = life(destroyed=at(5.5))
    found = segments(facts, PriceBook([version(1, hours=-9), version(2, hours=1.5, cost=2_000)]))
    due = [amounts(s, facts=facts, rule=BEGUN_HOURS) for s in found]
    assert [a.cost_seconds for a in due] == [2 * 3600, 4 * 3600]
    assert [a.seconds for a in due] == [5_400, 4 * 3600]


@pytest.mark.parametrize(
    ("hours", "expected"),
    [(30 / 3600, 10_000), (0.5, 10_000), (2, 35_720), (400, 7_144_000), (27 * 24, 648 * 17_860)],
)
def test_a_droplet_costs_what_digitalocean_bills_however_its_life_is_cut(hours: float, expected: int) -> None:
    """INVARIANT: the cost book equals the provider's bill: a cent at least, rounded once, whoever pays for which part."""
    facts = replace(life(requested=at(hours / 3), destroyed=at(hours)), provider="digitalocean")
    rates = Rates(cost_micros_per_hour=17_860, charge_micros_per_hour=20_000)
    book = PriceBook([replace(version(1, hours=-9), rates={("digitalocean", "basic"): rates})])
    cost = sum(amounts(s, facts=facts, rule=rule_of("digitalocean")).cost_micros for s in segments(facts, book))
    rate = Rate(hourly_micros=17_860, monthly_micros=12_000_000)
    gone = START + hours * HOUR
    rental = Rental(server_id="1", name="a", item="s", place="nyc3", rate=rate, since=START, until=gone)
    assert cost == charge(rental, gone) == expected


def test_a_month_costs_its_cap_and_the_next_counts_anew() -> None:
    """INVARIANT: January from the 5th on (648 h) is below the cap of 672 h, February (28 days) is at it, March is above."""
    rule = rule_of("digitalocean")
    assert rule.cost(START, datetime(2026, 4, 1, tzinfo=UTC), per_hour=1_000_000) == (648 + 672 + 672) * 1_000_000


_MONTHLY = 4_580_000
_BY_OVH = Rates(cost_micros_per_hour=_MONTHLY // 730, charge_micros_per_hour=20_000)


def ovh(facts: ServerFacts, *, change: float = -9) -> list[Amounts]:
    """What each part of a life at OVH comes to; the customer's price, and only that, changes once."""
    versions = [version(1, hours=-10), version(2, hours=change)]
    rates = [_BY_OVH, replace(_BY_OVH, charge_micros_per_hour=30_000)]
    book = PriceBook([replace(v, rates={("ovh", "basic"): r}) for v, r in zip(versions, rates, strict=True)])
    facts = replace(facts, provider="ovh")
    return [amounts(segment, facts=facts, rule=rule_of("ovh")) for segment in segments(facts, book)]


_MOMENTS = st.floats(0.001, 100 * 24).map(lambda hours: round(hours, 3))


@given(gone=_MOMENTS, requested=_MOMENTS, change=_MOMENTS, late=st.floats(-20, 20), told=st.booleans())
def test_the_cost_book_is_ovhs_bill_by_the_month(
    gone: float, requested: float, change: float, late: float, told: bool
) -> None:
    """INVARIANT: each begun month of the calendar once, whole, wherever a life is cut, and though its end is told by the day
    and by another clock; the charge is for the time until the destroy was asked for.
    """
    order = START + timedelta(seconds=late if told else 0)
    ended = START + gone * HOUR
    rate = Rate(hourly_micros=0, monthly_micros=_MONTHLY)
    rental = Rental(server_id="1", name="a", item="v", place="GRA", rate=rate, since=order, until=None)
    months = max(1, ovh_charge(rental, ended) // _MONTHLY)
    facts = life(requested=at(requested), destroyed=at(gone))
    if told:
        day = ovh_months_later(order, months).replace(hour=0, minute=0, second=0, microsecond=0)
        facts = replace(facts, paid_until=day)
    found = ovh(facts, change=change)
    assert sum(due.cost_micros for due in found) == months * 730 * _BY_OVH.cost_micros_per_hour
    assert all(due.cost_micros >= 0 for due in found)
    assert abs(sum(due.charge_seconds for due in found) - min(gone, requested) * 3600) <= len(found)


def test_an_order_that_ovh_cancelled_costs_nothing() -> None:
    facts = replace(life(outcome="failed", destroyed=at(2)), refunded=True)
    (due,) = ovh(facts)
    assert (due.cost_micros, due.cost_seconds, due.charge_micros, due.seconds) == (0, 0, 0, 7_200)


def test_every_segment_names_the_events_it_follows_from() -> None:
    facts = life(requested=at(2), destroyed=at(3))
    first, second = segments(facts, BOOK)
    assert facts.destroy_requested is not None
    assert facts.destroyed is not None
    assert first.event_ids == (ACCEPTED.event_id, facts.outcome_event_id, facts.destroy_requested.event_id)
    named: set[UUID | None] = {ACCEPTED.event_id, facts.outcome_event_id, facts.destroy_requested.event_id}
    assert set(second.event_ids) == {*named, facts.destroyed.event_id}


@given(
    gone=st.floats(0, 100).map(lambda h: round(h, 3)),
    requested=st.none() | st.floats(-10, 120).map(lambda h: round(h, 3)),
    change=st.floats(-10, 120).map(lambda h: round(h, 3)),
)
def test_segments_cover_a_life_without_gap_or_overlap(gone: float, requested: float | None, change: float) -> None:
    """INVARIANT: the cost book covers a server's life exactly, whatever else happens to it."""
    book = PriceBook([version(1, hours=-100), version(2, hours=change, cost=7)])
    facts = life(requested=None if requested is None else at(requested), destroyed=at(gone))
    found = segments(facts, book)
    assert facts.destroyed is not None
    assert (found[0].since, found[-1].until) == (START, facts.destroyed.at)
    assert all(a.until == b.since for a, b in pairwise(found))
    seconds = sum(amounts(s, facts=facts, rule=PER_SECOND).seconds for s in found)
    assert seconds == (facts.destroyed.at - START) // timedelta(seconds=1)

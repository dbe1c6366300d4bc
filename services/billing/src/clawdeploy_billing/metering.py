"""Which meters follow from what is known of a server: a pure decision over its facts, whatever order they arrived in."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from clawdeploy_billing.pricing import PriceBook, Rates
from clawdeploy_billing.rounding import PER_SECOND, Rule, micros

Outcome = Literal["succeeded", "failed", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A point in time, and the event that set it."""

    at: datetime
    event_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """Everything that decides what a server costs and is charged; times are the emitters'.

    ``destroy_requested`` is the instance's: from it on the cost is the operator's, as is all of a deployment that did not succeed.
    ``paid_until`` is until when the provider charges for it, where it said so; ``refunded``, that it charges nothing.
    """

    provider: str
    plan: str
    price_version: int
    accepted: Moment
    outcome: Outcome | None = None
    outcome_event_id: UUID | None = None
    destroy_requested: Moment | None = None
    destroyed: Moment | None = None
    paid_until: datetime | None = None
    refunded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of a server's life at one rate: one meter. ``until`` is None while it goes on."""

    since: datetime
    until: datetime | None
    rates: Rates
    price_version: int
    event_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """What a finished segment comes to; ``cost_seconds`` by the provider's rounding."""

    seconds: int = 0
    cost_seconds: int = 0
    cost_micros: int = 0
    charge_seconds: int = 0
    charge_micros: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rate:
    since: datetime
    rates: Rates
    price_version: int
    event_id: UUID


def segments(facts: ServerFacts, book: PriceBook) -> list[Segment]:
    """The meters of a server, in order of time; raises PriceMissing.

    While the deployment's outcome is open there is one, and it is open: whether it will be charged at all is not known yet. Later
    facts cut a server's life into more pieces or shorten it, and never join pieces again: a closed meter is never opened anew.
    """
    steps = list(_rates(facts, book))
    if facts.outcome is None:
        return [_segment(facts, steps[0], until=None)]
    end = facts.destroyed
    limit = None if end is None else max(end.at, facts.accepted.at)
    lived = [step for step in steps if limit is None or step.since < limit] or steps[:1]
    ends: list[Moment | None] = [Moment(at=step.since, event_id=step.event_id) for step in lived[1:]]
    last = None if end is None or limit is None else Moment(at=limit, event_id=end.event_id)
    return [_segment(facts, step, until=until) for step, until in zip(lived, [*ends, last], strict=True)]


def amounts(segment: Segment, *, facts: ServerFacts, rule: Rule) -> Amounts:
    """What a segment with a known end comes to.

    Rounding is of the server's whole life so far, then subtracted: however often rates change, no begun unit counts twice.
    """
    since, until, accepted_at = segment.since, segment.until or segment.since, facts.accepted.at
    seconds = _difference(PER_SECOND, accepted_at, since, until)
    paid_since, paid_until = (_paid(facts, moment, rule=rule) for moment in (since, until))
    cost_seconds = _difference(rule, accepted_at, paid_since, paid_until)
    rate = segment.rates.cost_micros_per_hour
    cost = rule.cost(accepted_at, paid_until, per_hour=rate) - rule.cost(accepted_at, paid_since, per_hour=rate)
    charge_seconds = seconds if segment.rates.charge_micros_per_hour else 0
    return Amounts(
        seconds=seconds,
        cost_seconds=cost_seconds,
        cost_micros=cost,
        charge_seconds=charge_seconds,
        charge_micros=micros(charge_seconds, per_hour=segment.rates.charge_micros_per_hour),
    )


def _paid(facts: ServerFacts, moment: datetime, *, rule: Rule) -> datetime:
    """Until when the provider has charged at a moment of a server's life: at its end that is what the provider said, and never more."""
    accepted_at, destroyed = facts.accepted.at, facts.destroyed
    if facts.refunded or moment <= accepted_at:
        return accepted_at
    if facts.paid_until is None or destroyed is None:
        return moment
    end = rule.paid(accepted_at, facts.paid_until)
    return end if moment >= destroyed.at else min(moment, end)


def _difference(rule: Rule, accepted_at: datetime, since: datetime, until: datetime) -> int:
    return rule.seconds(accepted_at, until) - rule.seconds(accepted_at, since)


def _rates(facts: ServerFacts, book: PriceBook) -> Iterator[_Rate]:
    """The rates from every moment at which they may change: at price changes, and when nothing is charged any more."""
    tariffs = book.tariffs(facts.provider, facts.plan, version=facts.price_version, since=facts.accepted.at)
    free = _free_from(facts)
    cuts = {tariff.since: tariff.event_id or facts.accepted.event_id for tariff in tariffs}
    if free is not None and free.at > facts.accepted.at:
        cuts.setdefault(free.at, free.event_id)
    for since, event_id in sorted(cuts.items()):
        tariff = [t for t in tariffs if t.since <= since][-1]
        rates = tariff.rates
        if free is not None and free.at <= since:
            rates = replace(rates, charge_micros_per_hour=0)
        yield _Rate(since=since, rates=rates, price_version=tariff.price_version, event_id=event_id)


def _free_from(facts: ServerFacts) -> Moment | None:
    if facts.outcome in {"failed", "cancelled"}:
        return Moment(at=facts.accepted.at, event_id=facts.outcome_event_id or facts.accepted.event_id)
    return facts.destroy_requested


def _segment(facts: ServerFacts, step: _Rate, *, until: Moment | None) -> Segment:
    named = (facts.accepted.event_id, facts.outcome_event_id, step.event_id, until and until.event_id)
    return Segment(
        since=step.since,
        until=until and until.at,
        rates=step.rates,
        price_version=step.price_version,
        event_ids=tuple(dict.fromkeys(i for i in named if i is not None)),
    )

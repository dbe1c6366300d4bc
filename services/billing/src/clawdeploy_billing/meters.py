"""One meter of a server: opened, closed and corrected, with its events and its lines in the ledger."""

from dataclasses import asdict

from clawdeploy_billing import ledger
from clawdeploy_billing.ledger import Entry, Period
from clawdeploy_billing.metering import Amounts, Segment, ServerFacts, amounts
from clawdeploy_billing.models import Server, ServerMeter
from clawdeploy_billing.rounding import rule_of
from clawdeploy_common import rows
from clawdeploy_common.events import Event
from clawdeploy_common.ids import named_id
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.billing import MeterClosed, MeterOpened


async def keep(
    uow: UnitOfWork, server: Server, segment: Segment, meter: ServerMeter | None, *, facts: ServerFacts
) -> None:
    """Make one meter what a segment says: open it, give it other rates, close it, or correct what it was closed with."""
    fresh = meter is None
    if meter is None:
        meter = _new(server, segment)
    rates_changed = _rate(meter, segment)
    if meter.until is None and (fresh or (rates_changed and segment.until is None)):
        _emit(uow, server, _opened(meter))
    if segment.until is not None:
        await _close(uow, server, meter, segment, facts=facts)
    await (rows.add if fresh else rows.save)(uow.session, meter)


def _new(server: Server, segment: Segment) -> ServerMeter:
    return ServerMeter(
        id=named_id(f"clawdeploy:server-meter:{server.id}:{segment.since.isoformat()}"),
        server_id=server.id,
        instance_id=server.instance_id,
        account_id=server.account_id,
        since=segment.since,
        until=None,
        price_version=segment.price_version,
        cost_micros_per_hour=segment.rates.cost_micros_per_hour,
        charge_micros_per_hour=segment.rates.charge_micros_per_hour,
        lines=0,
        **asdict(Amounts()),
    )


def _rate(meter: ServerMeter, segment: Segment) -> bool:
    """Give the meter the segment's rates; whether they are others than before."""
    rates = segment.rates
    before = (meter.cost_micros_per_hour, meter.charge_micros_per_hour)
    meter.cost_micros_per_hour = rates.cost_micros_per_hour
    meter.charge_micros_per_hour = rates.charge_micros_per_hour
    return before != (rates.cost_micros_per_hour, rates.charge_micros_per_hour)


async def void(uow: UnitOfWork, server: Server, meter: ServerMeter, last: Segment, *, facts: ServerFacts) -> None:
    """Close a meter that was opened for a time the server, as is known now, did not live to see: it comes to nothing."""
    empty = Segment(
        since=meter.since,
        until=meter.since,
        rates=last.rates,
        price_version=meter.price_version,
        event_ids=last.event_ids,
    )
    await _close(uow, server, meter, empty, facts=facts)
    await rows.save(uow.session, meter)


async def _close(uow: UnitOfWork, server: Server, meter: ServerMeter, segment: Segment, *, facts: ServerFacts) -> None:
    """Close a meter, or correct a closed one: book the difference to what is booked, and say what it comes to now."""
    due = amounts(segment, facts=facts, rule=rule_of(server.provider))
    if meter.until == segment.until and _booked(meter) == due:
        return
    before = _booked(meter)
    await _book(uow, meter, before, due, segment)
    meter.until = segment.until
    for name, value in asdict(due).items():
        setattr(meter, name, value)
    _emit(uow, server, _closed(meter, segment))


def _booked(meter: ServerMeter) -> Amounts:
    return Amounts(
        seconds=meter.seconds,
        cost_seconds=meter.cost_seconds,
        cost_micros=meter.cost_micros,
        charge_seconds=meter.charge_seconds,
        charge_micros=meter.charge_micros,
    )


async def _book(uow: UnitOfWork, meter: ServerMeter, before: Amounts, due: Amounts, segment: Segment) -> None:
    until = segment.until or segment.since
    period = Period(start=segment.since, end=until, price_version=segment.price_version, event_ids=segment.event_ids)
    cost = Entry(
        book="cost", quantity=due.cost_seconds - before.cost_seconds, micros=due.cost_micros - before.cost_micros
    )
    charge = Entry(
        book="charge",
        quantity=due.charge_seconds - before.charge_seconds,
        micros=due.charge_micros - before.charge_micros,
    )
    await ledger.book(uow.session, meter, [cost, charge], period)


def _opened(meter: ServerMeter) -> MeterOpened:
    return MeterOpened(
        meter_id=meter.id,
        server_id=meter.server_id,
        since=meter.since,
        cost_micros_per_hour=meter.cost_micros_per_hour,
        charge_micros_per_hour=meter.charge_micros_per_hour,
        price_version=meter.price_version,
    )


def _closed(meter: ServerMeter, segment: Segment) -> MeterClosed:
    return MeterClosed(
        meter_id=meter.id,
        server_id=meter.server_id,
        until=segment.until or segment.since,
        seconds=meter.seconds,
        cost_micros=meter.cost_micros,
        charge_micros=meter.charge_micros,
        price_version=meter.price_version,
    )


def _emit(uow: UnitOfWork, server: Server, event: Event) -> None:
    uow.outbox.add(event, key=server.instance_id, account_id=server.account_id)

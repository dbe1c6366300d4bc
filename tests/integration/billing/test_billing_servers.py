"""Server meters: two books, exact integers, and no dependence on the order in which topics arrive."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.integration.billing.books import Books
from tests.integration.billing.life import HOUR, START, Life, interleavings

from clawdeploy_billing import price_books
from clawdeploy_billing.tariff_keeping import keep_tariffs
from clawdeploy_common.records import Record
from clawdeploy_events.billing import Price

BASIC_COST, BASIC_CHARGE = 2_740, 6_849


async def test_a_server_is_metered_from_acceptance_to_deletion(books: Books) -> None:
    life, server, deploy = Life(), uuid4(), uuid4()
    await books.receive(life.created(server, deploy), life.succeeded(server, deploy), life.destroyed(server, hours=10))
    assert await books.charged("cost") == 10 * BASIC_COST
    assert await books.charged("charge") == 10 * BASIC_CHARGE
    (opened,) = await books.told("meter.opened.v1")
    (closed,) = await books.told("meter.closed.v1")
    assert (opened["since"], opened["charge_micros_per_hour"]) == ("2026-01-05T12:00:00Z", BASIC_CHARGE)
    assert (closed["seconds"], closed["cost_micros"], closed["charge_micros"]) == (36_000, 27_400, 68_490)
    assert opened["meter_id"] == closed["meter_id"]


async def test_every_line_names_its_events_and_its_price(books: Books) -> None:
    """INVARIANT: every line of the ledger names the events it follows from, and the price version."""
    life, server, deploy = Life(), uuid4(), uuid4()
    records = [life.created(server, deploy), life.succeeded(server, deploy), life.destroyed(server, hours=1)]
    await books.receive(*records)
    lines = await books.lines()
    assert len(lines) == 2
    for line in lines:
        assert set(line.event_ids) == {r.envelope.id for r in records if r.envelope}
        assert (line.price_version, line.account_id, line.instance_id) == (1, life.account_id, life.instance_id)
        assert (line.period_start, line.period_end) == (START, START + HOUR)


async def test_a_duplicated_or_replayed_log_charges_nothing_twice(books: Books) -> None:
    """INVARIANT: a duplicated or replayed log charges nothing twice and announces nothing twice."""
    life, server, deploy = Life(), uuid4(), uuid4()
    records = [
        life.created(server, deploy),
        life.succeeded(server, deploy),
        life.destroy_requested(hours=2),
        life.destroyed(server, hours=3),
    ]
    await books.receive(*records)
    lines, outbox = await books.lines(), await books.rows("SELECT event_id FROM outbox")
    await books.receive(*records, *records)
    for record in records:
        await books.receive(record)
    assert await books.lines() == lines
    assert await books.rows("SELECT event_id FROM outbox") == outbox


async def test_records_ahead_of_their_turn_wait_and_change_nothing(books: Books) -> None:
    """INVARIANT: per key events apply in order; one that comes early is parked, not applied."""
    life, server, deploy = Life(), uuid4(), uuid4()
    first, second, third = (
        life.created(server, deploy),
        life.succeeded(server, deploy),
        life.destroyed(server, hours=1),
    )
    await books.receive(first, third)
    assert await books.lines() == []
    await books.receive(second)
    assert await books.lines() == []
    assert [row.reason for row in await books.rows("SELECT reason FROM parked_events WHERE kind = 'reactor'")] == [
        "gap"
    ]


async def test_after_an_accepted_destroy_the_cost_goes_on_and_the_charge_does_not(books: Books) -> None:
    life, server, deploy = Life(), uuid4(), uuid4()
    await books.receive(life.created(server, deploy), life.succeeded(server, deploy), life.destroy_requested(hours=2))
    opened = await books.told("meter.opened.v1")
    assert [event["charge_micros_per_hour"] for event in opened] == [BASIC_CHARGE, 0]
    assert [event["cost_micros_per_hour"] for event in opened] == [BASIC_COST, BASIC_COST]
    await books.receive(life.destroyed(server, hours=5))
    assert (await books.charged("charge"), await books.charged("cost")) == (2 * BASIC_CHARGE, 5 * BASIC_COST)


_MONTH_AT_OVH = 730 * 9_600
_BASIC_AT_OVH = 13_699


async def test_a_server_by_the_month_costs_what_the_provider_says_and_is_charged_until_its_destroy(
    books: Books,
) -> None:
    """INVARIANT: cost and charge are apart: the month that was renewed while the removal was owed is the operator's, once."""
    life, server, deploy = Life(), uuid4(), uuid4()
    await books.receive(life.created(server, deploy, provider="ovh"), life.succeeded(server, deploy))
    await books.receive(life.destroy_requested(hours=2))
    assert (await books.charged("cost"), await books.charged("charge")) == (_MONTH_AT_OVH, 2 * _BASIC_AT_OVH)
    renewed = datetime(2026, 3, 5, tzinfo=UTC)
    gone = life.destroyed(server, hours=5, paid_until=renewed)
    await books.receive(gone, gone)
    assert (await books.charged("cost"), await books.charged("charge")) == (2 * _MONTH_AT_OVH, 2 * _BASIC_AT_OVH)
    await books.receive(gone)
    closed = await books.told("meter.closed.v1")
    assert [(e["cost_micros"], e["charge_micros"]) for e in closed] == [
        (_MONTH_AT_OVH, 2 * _BASIC_AT_OVH),
        (_MONTH_AT_OVH, 0),
    ]


async def test_an_order_that_the_provider_pays_back_is_in_no_book(books: Books) -> None:
    life, server, deploy = Life(), uuid4(), uuid4()
    await books.receive(life.created(server, deploy, provider="ovh"), life.failed(deploy))
    await books.receive(life.destroyed(server, hours=1, refunded=True))
    assert await books.lines() == []
    (closed,) = await books.told("meter.closed.v1")
    assert (closed["seconds"], closed["cost_micros"], closed["charge_micros"]) == (3_600, 0, 0)


@pytest.mark.parametrize("ending", ["failed", "cancelled"])
@pytest.mark.parametrize("destroyed_first", [True, False])
async def test_an_unsuccessful_deployment_is_the_operators_cost(
    books: Books, ending: str, *, destroyed_first: bool
) -> None:
    """INVARIANT: nothing is ever charged, not even for a moment, for a deployment that did not succeed."""
    life, server, deploy = Life(), uuid4(), uuid4()
    await books.receive(life.created(server, deploy))
    ended = (lambda: life.failed(deploy)) if ending == "failed" else (lambda: life.cancelled(deploy))
    destroyed = lambda: life.destroyed(server, hours=1)  # noqa: E731 - the order decides the version
    await books.receive(*[make() for make in ([destroyed, ended] if destroyed_first else [ended, destroyed])])
    assert [line.book for line in await books.lines()] == ["cost"]
    assert await books.charged("cost") == BASIC_COST
    (closed,) = await books.told("meter.closed.v1")
    assert (closed["charge_micros"], closed["cost_micros"]) == (0, BASIC_COST)


async def test_a_failed_deployment_whose_server_is_still_owed_is_told_free_of_charge(books: Books) -> None:
    life, server, deploy = Life(), uuid4(), uuid4()
    await books.receive(life.created(server, deploy), life.failed(deploy))
    opened = await books.told("meter.opened.v1")
    assert [(e["meter_id"], e["charge_micros_per_hour"]) for e in opened] == [
        (opened[0]["meter_id"], BASIC_CHARGE),
        (opened[0]["meter_id"], 0),
    ]


async def test_a_redeployment_is_two_servers_and_two_meters(books: Books) -> None:
    """INVARIANT: meters are per server, never per instance."""
    life, first, second, deploy, redeploy = Life(), uuid4(), uuid4(), uuid4(), uuid4()
    await books.receive(
        life.created(first, deploy),
        life.succeeded(first, deploy),
        life.destroyed(first, hours=1),
        life.created(second, redeploy, hours=2),
        life.succeeded(second, redeploy),
        life.destroyed(second, hours=5),
    )
    assert sorted(e["seconds"] for e in await books.told("meter.closed.v1")) == [3_600, 3 * 3_600]
    assert await books.charged("charge") == BASIC_CHARGE + 3 * BASIC_CHARGE


@pytest.mark.parametrize("turn", range(4))
async def test_the_order_of_arrival_across_topics_does_not_matter(books: Books, turn: int) -> None:
    """INVARIANT: what is booked in the end depends on the facts, not on which topic was read first."""
    life, server, deploy = Life(), uuid4(), uuid4()
    lifecycle = [life.created(server, deploy), life.succeeded(server, deploy), life.destroyed(server, hours=3)]
    await books.receive(*lifecycle[:turn])
    await books.receive(life.destroy_requested(hours=2))
    await books.receive(*lifecycle[turn:])
    assert await books.sums(life) == {
        ("cost", START): 2 * BASIC_COST,
        ("charge", START): 2 * BASIC_CHARGE,
        ("cost", START + 2 * HOUR): BASIC_COST,
    }
    last = {e["meter_id"]: (e["cost_micros"], e["charge_micros"]) for e in await books.told("meter.closed.v1")}
    assert sorted(last.values()) == [(BASIC_COST, 0), (2 * BASIC_COST, 2 * BASIC_CHARGE)]


async def test_two_topics_applied_at_the_same_moment_lose_nothing(books: Books) -> None:
    """INVARIANT: consumers of different topics, on any replica, see each other's facts: the instance's row orders them."""
    lives = [(Life(), uuid4(), uuid4()) for _ in range(20)]
    lifecycle = [
        [life.created(server, deploy), life.succeeded(server, deploy), life.destroyed(server, hours=3)]
        for life, server, deploy in lives
    ]
    wishes = [life.destroy_requested(hours=1) for life, _, _ in lives]
    await asyncio.gather(
        *(books.receive(record) for record in wishes[:10]), *(books.receive(*told) for told in lifecycle[:10])
    )
    await asyncio.gather(
        books.receive(*(record for told in lifecycle[10:] for record in told)), books.receive(*reversed(wishes))
    )
    for life, _, _ in lives:
        sums = await books.sums(life)
        assert sums[("charge", START)] == BASIC_CHARGE
        assert sum(micros for (book, _), micros in sums.items() if book == "cost") == 3 * BASIC_COST


async def test_a_late_destroy_request_is_an_adjustment_not_a_change(books: Books) -> None:
    """INVARIANT: a line is never changed; what comes to light later is a line of its own that names its events."""
    life, server, deploy = Life(), uuid4(), uuid4()
    request = life.destroy_requested(hours=1)
    await books.receive(life.created(server, deploy), life.succeeded(server, deploy), life.destroyed(server, hours=3))
    before = await books.lines()
    await books.receive(request)
    lines = await books.lines()
    assert lines[: len(before)] == before
    adjustments = [line for line in lines if line.kind == "adjustment"]
    assert {(line.book, line.quantity, line.micros) for line in adjustments} == {
        ("cost", -7_200, -2 * BASIC_COST),
        ("charge", -7_200, -2 * BASIC_CHARGE),
    }
    assert request.envelope is not None
    assert all(request.envelope.id in line.event_ids for line in adjustments)
    assert (await books.charged("charge"), await books.charged("cost")) == (BASIC_CHARGE, 3 * BASIC_COST)


async def test_the_ledger_refuses_every_change(books: Books) -> None:
    """INVARIANT: the ledger is append-only, for its owner too."""
    life, server, deploy = Life(), uuid4(), uuid4()
    await books.receive(life.created(server, deploy), life.succeeded(server, deploy), life.destroyed(server, hours=1))
    for statement in ("UPDATE ledger_lines SET micros = 0", "DELETE FROM ledger_lines", "TRUNCATE ledger_lines"):
        with pytest.raises(Exception, match="append-only"):
            await books.rows(statement)
    assert await books.charged("charge") == BASIC_CHARGE


async def test_the_price_book_is_announced_once_per_version(books: Books) -> None:
    await keep_tariffs(books.service.database, books.settings)
    (published,) = await books.told("price_book.published.v1")
    assert published["version"] == 1
    assert {p["plan"] for p in published["prices"]} == {"free", "basic", "pro", "enterprise"}
    dearer = books.settings.model_copy(update={"llm_charge_percent": 120})
    await keep_tariffs(books.service.database, dearer)
    assert [e["version"] for e in await books.told("price_book.published.v1")] == [1, 2]
    keys = await books.rows("SELECT DISTINCT key FROM outbox WHERE type = 'price_book.published.v1'")
    assert [row.key for row in keys] == [price_books.PRICE_BOOK_ID]


async def test_a_running_server_is_split_where_the_price_changed(books: Books) -> None:
    life, server, deploy = Life(), uuid4(), uuid4()
    await books.receive(life.created(server, deploy), life.succeeded(server, deploy))
    prices = [Price(provider="process", plan="basic", cost_micros_per_hour=1_000, charge_micros_per_hour=3_600)]
    async with books.service.database.transaction() as unit:
        await price_books.publish(unit, prices=prices, llm_charge_percent=100, now=START + 4 * HOUR)
    await keep_tariffs(books.service.database, books.settings.model_copy(update={"prices": prices}))
    opened = await books.told("meter.opened.v1")
    assert [(e["price_version"], e["charge_micros_per_hour"]) for e in opened] == [(1, BASIC_CHARGE), (2, 3_600)]
    await books.receive(life.destroyed(server, hours=6))
    charges = [(line.price_version, line.micros) for line in await books.lines() if line.book == "charge"]
    assert charges == [(1, 4 * BASIC_CHARGE), (2, 2 * 3_600)]


async def test_a_server_gone_before_a_price_change_owes_nothing_at_the_new_price(books: Books) -> None:
    life, server, deploy = Life(), uuid4(), uuid4()
    await books.receive(life.created(server, deploy), life.succeeded(server, deploy))
    prices = [Price(provider="process", plan="basic", cost_micros_per_hour=1_000, charge_micros_per_hour=3_600)]
    async with books.service.database.transaction() as unit:
        await price_books.publish(unit, prices=prices, llm_charge_percent=100, now=START + 4 * HOUR)
    await keep_tariffs(books.service.database, books.settings.model_copy(update={"prices": prices}))
    await books.receive(life.destroyed(server, hours=3))
    assert (await books.charged("charge"), await books.charged("cost")) == (3 * BASIC_CHARGE, 3 * BASIC_COST)
    last = {e["meter_id"]: e for e in await books.told("meter.closed.v1")}
    assert sorted(e["charge_micros"] for e in last.values()) == [0, 3 * BASIC_CHARGE]


async def test_an_event_without_a_price_is_a_dead_letter_and_books_nothing(books: Books) -> None:
    life = Life()
    await books.receive(life.created(uuid4(), uuid4(), plan="no-such-plan"))
    (parked,) = await books.rows("SELECT reason FROM parked_events WHERE kind = 'reactor'")
    assert parked.reason == "permanent"
    assert await books.lines() == []


_HOURS = st.integers(0, 180_000_000).map(lambda ms: ms / 3_600_000)


@dataclass(frozen=True)
class History:
    """A life: how the deployment ended, when the server went (before that or after), when a destroy was asked for."""

    outcome: str
    gone: float | None
    gone_before_outcome: bool
    requests: tuple[float, ...]

    def told(self) -> tuple[Life, list[list[Record]]]:
        """A new instance with this history, as every interleaving of its two topics."""
        life, server, deploy = Life(), uuid4(), uuid4()
        ends = {
            "succeeded": lambda: life.succeeded(server, deploy),
            "failed": lambda: life.failed(deploy),
            "cancelled": lambda: life.cancelled(deploy),
        }
        steps = [ends[self.outcome]]
        if self.gone is not None:
            hours = self.gone
            steps.insert(0 if self.gone_before_outcome else 1, lambda: life.destroyed(server, hours=hours))
        lifecycle = [life.created(server, deploy), *(step() for step in steps)]
        return life, interleavings(lifecycle, [life.destroy_requested(hours=h) for h in self.requests])


HISTORIES = st.builds(
    History,
    outcome=st.sampled_from(["succeeded", "failed", "cancelled"]),
    gone=st.none() | _HOURS,
    gone_before_outcome=st.booleans(),
    requests=st.lists(_HOURS, max_size=2).map(tuple),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=HISTORIES, pick=st.integers(0, 100))
async def test_any_history_in_any_order_comes_to_the_same(books: Books, history: History, pick: int) -> None:
    """INVARIANT: for any life of an instance, every interleaving of its two topics books the same sums."""
    seen: list[dict[tuple[str, datetime], int]] = []
    for choose in (0, -1, pick):
        life, orders = history.told()
        for record in orders[choose % len(orders)]:
            await books.receive(record)
        seen.append(await books.sums(life))
    assert seen[0] == seen[1] == seen[2]
    if history.outcome != "succeeded":
        assert not [book for book, _ in seen[0] if book == "charge"]

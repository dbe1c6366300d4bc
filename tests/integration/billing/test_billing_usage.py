"""LLM usage: read as a cumulative figure, booked as differences, never twice."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from tests.integration.billing.books import Books
from tests.integration.billing.life import Life
from tests.integration.billing.openrouter import BASE, MANAGEMENT_KEY, OpenRouter

from clawdeploy_billing import price_books
from clawdeploy_billing.openrouter import OpenRouterKeys
from clawdeploy_billing.readings import LIST_FROM, Rhythm, UsageReader
from clawdeploy_common.clock import utc_now

GRACE = timedelta(seconds=60)


@pytest.fixture
async def openrouter(tmp_path: Path) -> AsyncGenerator[OpenRouter]:
    stand_in = OpenRouter(tmp_path)
    yield stand_in
    await stand_in.close()


def reader_of(books: Books, transport: httpx.AsyncBaseTransport, *, key: str = MANAGEMENT_KEY) -> UsageReader:
    keys = OpenRouterKeys(base_url=BASE, key=SecretStr(key), timeout_s=5, transport=transport)
    return UsageReader(books.service.database, keys, Rhythm(interval=timedelta(seconds=5), grace=GRACE))


@pytest.fixture
def reader(books: Books, openrouter: OpenRouter) -> UsageReader:
    return reader_of(books, openrouter.transport)


async def due(books: Books) -> None:
    """Make every key due now."""
    await books.execute("UPDATE llm_keys SET next_read_at = now(), lease_until = NULL")


async def read(books: Books, reader: UsageReader) -> int:
    await due(books)
    return await reader.round()


async def key_row(books: Books, key_hash: str) -> Any:
    (row,) = await books.rows("SELECT * FROM llm_keys WHERE key_hash = :hash", hash=key_hash)
    return row


async def test_usage_is_billed_to_the_micro_unit_the_provider_reports(
    books: Books, openrouter: OpenRouter, reader: UsageReader
) -> None:
    """INVARIANT: the cost book equals the provider's bill, whatever the number of readings."""
    life = Life()
    key_hash, secret = await openrouter.mint()
    await books.receive(life.minted(key_hash))
    for number in range(7):
        await openrouter.chat(secret, "Hello" * (number * 13 + 1))
        await read(books, reader)
    billed = await openrouter.billed(key_hash)
    assert billed > 0
    assert (await books.charged("cost"), await books.charged("charge")) == (billed, billed)
    told = await books.told("usage.recorded.v1")
    assert sum(e["cost_micros"] for e in told) == billed == told[-1]["cumulative_micros"]
    assert [e["window_end"] for e in told[:-1]] == [e["window_start"] for e in told[1:]]


async def test_reading_again_books_nothing(books: Books, openrouter: OpenRouter, reader: UsageReader) -> None:
    """INVARIANT: the same cumulative figure, however often read, is booked once."""
    life = Life()
    key_hash, secret = await openrouter.mint()
    await books.receive(life.minted(key_hash), life.minted(key_hash))
    await openrouter.chat(secret)
    for _ in range(4):
        await read(books, reader)
    assert len(await books.told("usage.recorded.v1")) == 1
    assert [line.book for line in await books.lines()] == ["cost", "charge"]


async def test_every_usage_line_names_its_events(books: Books, openrouter: OpenRouter, reader: UsageReader) -> None:
    """INVARIANT: every line names its events; usage names the mint and the record of the window."""
    life = Life()
    key_hash, secret = await openrouter.mint()
    minted = life.minted(key_hash)
    await books.receive(minted)
    await openrouter.chat(secret)
    await read(books, reader)
    (recorded,) = await books.rows("SELECT event_id, key FROM outbox WHERE type = 'usage.recorded.v1'")
    assert minted.envelope is not None
    for line in await books.lines():
        assert line.event_ids == [minted.envelope.id, recorded.event_id]
        assert (line.meter_kind, line.unit, line.price_version) == ("llm_key", "usd_micro", 1)
    assert recorded.key == life.instance_id


async def test_replicas_share_the_keys_and_book_once(books: Books, openrouter: OpenRouter) -> None:
    """INVARIANT: of several replicas one reads a key at a time, and what both read is booked once."""
    hashes: list[str] = []
    for _ in range(5):
        key_hash, secret = await openrouter.mint()
        await books.receive(Life().minted(key_hash))
        await openrouter.chat(secret)
        hashes.append(key_hash)
    readers = [reader_of(books, openrouter.transport) for _ in range(3)]
    claimed = await asyncio.gather(*(reader.round() for reader in readers))
    assert sum(claimed) == 5
    assert await books.charged("cost") == sum([await openrouter.billed(h) for h in hashes])


async def test_a_stale_reading_of_a_paused_replica_is_not_booked(
    books: Books, openrouter: OpenRouter, reader: UsageReader
) -> None:
    life = Life()
    key_hash, secret = await openrouter.mint()
    await books.receive(life.minted(key_hash))
    await openrouter.chat(secret)
    claims = await reader._claim()  # pyright: ignore[reportPrivateUsage] - the pause is between these two
    outcomes = await reader._read(list(claims))  # pyright: ignore[reportPrivateUsage]
    await openrouter.chat(secret)
    await read(books, reader_of(books, openrouter.transport))
    await reader._book(claims, outcomes)  # pyright: ignore[reportPrivateUsage]
    assert await books.charged("cost") == await openrouter.billed(key_hash)
    assert await books.told("usage.anomaly_found.v1") == []


async def test_a_lower_figure_is_an_anomaly_told_once_and_books_nothing(books: Books) -> None:
    """INVARIANT: a lower reading books nothing; the high-water mark stays."""
    life, figures = Life(), iter(["0.5", "0.2", "0.2", "0.6"])

    def answer(_: httpx.Request) -> httpx.Response:
        body = f'{{"data": {{"hash": "abc", "usage": {next(figures)}}}}}'
        return httpx.Response(200, content=body)

    reader = reader_of(books, httpx.MockTransport(answer))
    await books.receive(life.minted("abc"))
    for _ in range(4):
        await read(books, reader)
    (anomaly,) = await books.told("usage.anomaly_found.v1")
    assert (anomaly["cumulative_micros"], anomaly["highest_micros"]) == (200_000, 500_000)
    assert [e["cost_micros"] for e in await books.told("usage.recorded.v1")] == [500_000, 100_000]


async def test_a_revoked_key_is_read_after_the_grace_and_then_closed(
    books: Books, openrouter: OpenRouter, reader: UsageReader
) -> None:
    """INVARIANT: a revoked key's meter ends only with a reading made after the grace."""
    life = Life()
    key_hash, secret = await openrouter.mint()
    await books.receive(life.minted(key_hash))
    await openrouter.chat(secret)
    await openrouter.disable(key_hash)
    await books.receive(life.revoked(key_hash, at=utc_now()))
    await read(books, reader)
    assert (await key_row(books, key_hash)).closed_at is None
    await books.execute("UPDATE llm_keys SET revoked_at = now() - interval '61 seconds'")
    await openrouter.fault(kind="server_error", path_prefix="/keys", times=1)
    await read(books, reader)
    assert (await key_row(books, key_hash)).closed_at is None
    await read(books, reader)
    assert (await key_row(books, key_hash)).closed_reason == "read"
    assert await read(books, reader) == 0
    assert await books.charged("cost") == await openrouter.billed(key_hash)


async def test_a_revoked_key_that_is_deleted_is_closed(
    books: Books, openrouter: OpenRouter, reader: UsageReader
) -> None:
    life = Life()
    key_hash, _ = await openrouter.mint()
    await books.receive(life.minted(key_hash))
    await openrouter.delete(key_hash)
    await read(books, reader)
    assert (await key_row(books, key_hash)).closed_at is None
    await books.receive(life.revoked(key_hash, at=utc_now()))
    await read(books, reader)
    assert (await key_row(books, key_hash)).closed_reason == "deleted"


async def test_a_rate_limit_is_waited_out(books: Books, openrouter: OpenRouter, reader: UsageReader) -> None:
    key_hash, secret = await openrouter.mint()
    await books.receive(Life().minted(key_hash))
    await openrouter.chat(secret)
    await openrouter.fault(kind="rate_limit", path_prefix="/keys", times=1, seconds=17)
    await read(books, reader)
    wait = (await key_row(books, key_hash)).next_read_at - utc_now()
    assert timedelta(seconds=15) < wait <= timedelta(seconds=17)
    await read(books, reader)
    assert await books.charged("cost") == await openrouter.billed(key_hash)


@pytest.mark.parametrize(
    "body",
    ["", "[]", '{"data": {"hash": "abc"}}', '{"data": {"hash": "abc", "usage": "1"}}', '{"data": {"usage": -1}}'],
)
async def test_an_answer_that_cannot_be_read_books_nothing(books: Books, body: str) -> None:
    reader = reader_of(books, httpx.MockTransport(lambda _: httpx.Response(200, content=body)))
    await books.receive(Life().minted("abc"))
    await read(books, reader)
    assert await books.lines() == []
    assert (await key_row(books, "abc")).next_read_at > utc_now()


async def test_a_refused_management_key_is_tried_again(books: Books, openrouter: OpenRouter) -> None:
    key_hash, _ = await openrouter.mint()
    await books.receive(Life().minted(key_hash))
    await read(books, reader_of(books, openrouter.transport, key="sk-or-v1-wrong"))
    assert (await key_row(books, key_hash)).closed_at is None


async def test_many_keys_are_read_with_one_list_call_each_hundred(
    books: Books, openrouter: OpenRouter, reader: UsageReader
) -> None:
    hashes: list[str] = []
    for number in range(120):
        key_hash, secret = await openrouter.mint()
        hashes.append(key_hash)
        await books.receive(Life().minted(key_hash))
        if number % 40 == 0:
            await openrouter.chat(secret)
    openrouter.calls.clear()
    assert await read(books, reader) == 120 >= LIST_FROM
    assert openrouter.calls == ["GET /api/v1/keys"] * 2
    assert await books.charged("cost") == sum([await openrouter.billed(h) for h in hashes]) > 0


async def test_a_key_that_spends_is_read_sooner(books: Books, openrouter: OpenRouter, reader: UsageReader) -> None:
    idle, _ = await openrouter.mint()
    active, secret = await openrouter.mint()
    await books.receive(Life().minted(idle), Life().minted(active))
    await openrouter.chat(secret)
    await read(books, reader)
    assert (await key_row(books, active)).next_read_at < utc_now() + timedelta(seconds=1.1)
    assert (await key_row(books, idle)).next_read_at > utc_now() + timedelta(seconds=4)


async def test_usage_is_charged_at_the_percentage_agreed_when_the_window_began(books: Books) -> None:
    figures = iter(["0.001001", "0.002001"])

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=f'{{"data": {{"hash": "abc", "usage": {next(figures)}}}}}')

    reader = reader_of(books, httpx.MockTransport(answer))
    await books.receive(Life().minted("abc", at=utc_now()))
    await read(books, reader)
    async with books.service.database.transaction() as unit:
        await price_books.publish(unit, prices=books.settings.prices, llm_charge_percent=150, now=utc_now())
    await due(books)
    await books.execute("UPDATE llm_keys SET last_read_at = now()")
    await reader.round()
    assert [(e["charge_micros"], e["price_version"]) for e in await books.told("usage.recorded.v1")] == [
        (1_001, 1),
        (1_500, 2),
    ]

"""The account's feed: gapless positions, the feed by cursor, the live stream."""

import asyncio
import json
from typing import Any
from uuid import UUID

from sqlalchemy import text
from tests.integration.api.lifecycle import story
from tests.integration.api.platform import Json, Platform, Tenant, id_of

from clawdeploy_common.clock import utc_now
from clawdeploy_events.health import InstanceDrifted


async def test_positions_have_no_gaps_however_many_write_at_once(platform: Platform, tenant: Tenant) -> None:
    """INVARIANT: every event of an account has a position, without gaps."""
    drifted = InstanceDrifted(expected="a", observed="b", observed_at=utc_now(), lifecycle_version=1)
    keys = [UUID(int=number) for number in range(1, 13)]
    batches = [[platform.record(drifted, key=key, account_id=tenant.id) for _ in range(5)] for key in keys]
    await asyncio.gather(*(platform.service.inbox.receive(batch) for batch in batches))

    rows = await platform.rows(
        "SELECT position FROM account_feed WHERE account_id = :id ORDER BY position", id=tenant.id
    )
    first = rows[0].position
    assert [row.position for row in rows] == list(range(first, first + 60))


async def test_a_duplicate_is_in_the_feed_once(platform: Platform, tenant: Tenant) -> None:
    """INVARIANT: an event is applied once."""
    await tenant.create()
    await platform.consume_own()
    await platform.consume_own()
    rows = await platform.rows("SELECT type FROM account_feed WHERE account_id = :id", id=tenant.id)
    assert sorted(row.type for row in rows) == ["account.created.v1", "deployment.requested.v1"]


async def test_the_feed_is_read_by_cursor_without_internal_events(platform: Platform, tenant: Tenant) -> None:
    told = await story(platform, tenant)
    await platform.consume_own()
    await told.begin()
    await told.step("reserve", "running")
    await told.observed("healthy")

    first = await tenant.get("/v1/events", limit=2)
    rest = await tenant.get("/v1/events", after=first["next_cursor"])
    types = [event["type"] for event in first["items"] + rest["items"]]
    assert types == [
        "account.created.v1",
        "deployment.requested.v1",
        "operation.started.v1",
        "instance.health_changed.v1",
    ]
    assert rest["next_cursor"] is None
    event = rest["items"][0]
    assert (event["subject"], event["accountid"], event["source"]) == (
        str(told.id),
        str(tenant.id),
        "/clawdeploy/provisioner",
    )
    assert event["data"]["operation_id"] == str(told.operation)

    timeline = await tenant.get(f"/v1/instances/{told.id}/timeline", limit=10)
    assert [found["type"] for found in timeline["items"]] == types[1:]


async def test_an_account_sees_its_own_events_only(platform: Platform, tenant: Tenant) -> None:
    """INVARIANT: a tenant is a wall."""
    other = await platform.tenant()
    await tenant.create()
    await platform.consume_own()
    assert [event["type"] for event in (await other.get("/v1/events"))["items"]] == ["account.created.v1"]


def parse(body: str) -> list[Json]:
    """Events of a stream's text."""
    found: list[Json] = []
    for block in body.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "data" in fields:  # what has an id alone only says where the stream begins
            found.append(fields)
    return found


async def listen(platform: Platform, tenant: Tenant, meanwhile: Any, **headers: str) -> list[Json]:
    """Open a stream, let something happen, end it by stopping the service."""
    stream = asyncio.create_task(tenant.http.get("/v1/stream", headers=headers))
    await asyncio.sleep(0.3)
    await meanwhile
    await asyncio.sleep(0.5)
    platform.service.stopping.set()
    answer = await asyncio.wait_for(stream, 5)
    assert answer.headers["content-type"].startswith("text/event-stream")
    return parse(answer.text)


async def test_the_stream_shows_what_happens_internal_events_too(platform: Platform, tenant: Tenant) -> None:
    told = await story(platform, tenant)
    await platform.consume_own()

    async def happen() -> None:
        await told.begin()
        await told.step("reserve", "running")

    events = await listen(platform, tenant, happen())
    assert [event["event"] for event in events] == ["operation.started.v1", "operation.step_changed.v1"]
    data = json.loads(events[0]["data"])
    assert (str(data["position"]), data["type"], data["subject"]) == (
        events[0]["id"],
        "operation.started.v1",
        str(told.id),
    )


async def test_the_stream_resumes_after_the_last_event_that_was_seen(platform: Platform, tenant: Tenant) -> None:
    told = await story(platform, tenant)
    await platform.consume_own()
    await told.begin()
    events = await listen(platform, tenant, told.step("reserve", "running"), **{"Last-Event-ID": "1"})
    assert [event["id"] for event in events] == ["2", "3", "4"]


async def test_a_stream_is_woken_by_a_commit_not_by_the_poll(platform: Platform, tenant: Tenant) -> None:
    told = await story(platform, tenant)
    stream = platform.gateway.stream
    stream._poll_s = 30.0  # pyright: ignore[reportPrivateUsage] - a poll that would come too late

    async def welcome() -> bool:
        return True

    follow = stream.follow(tenant.id, 0, still_welcome=welcome)
    assert b"connected" in await anext(follow)
    next_event = asyncio.ensure_future(anext(follow))
    await asyncio.sleep(0.2)
    await told.begin()
    assert b"operation.started.v1" in await asyncio.wait_for(next_event, 3)
    await follow.aclose()


async def test_a_waiting_stream_holds_no_connection(platform: Platform, tenant: Tenant) -> None:
    told = await story(platform, tenant)

    async def happen() -> None:
        count = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
        )
        async with platform.database.connection() as connection:
            assert await connection.scalar(count) == 0
        await told.begin()

    assert await listen(platform, tenant, happen())


async def test_an_account_has_so_many_streams_and_no_more(platform: Platform, tenant: Tenant) -> None:
    streams = [asyncio.create_task(tenant.http.get("/v1/stream")) for _ in range(platform.settings.streams_per_account)]
    await asyncio.sleep(1)
    refused = await tenant.http.get("/v1/stream")
    platform.service.stopping.set()
    await asyncio.gather(*streams)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate-limited")


async def test_an_unreadable_event_is_kept_in_the_feed_without_data(platform: Platform, tenant: Tenant) -> None:
    instance = await tenant.create()
    await platform.consume_own()
    await platform.rows(
        "UPDATE account_feed SET data = 'no json' WHERE key = :key RETURNING position", key=id_of(instance)
    )
    assert (await tenant.get("/v1/events"))["items"][-1]["data"] is None

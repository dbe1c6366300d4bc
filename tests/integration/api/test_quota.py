"""Quotas and rate limits."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from tests.engines.databases import Database
from tests.integration.api.platform import CREATE, Platform, Tenant, id_of, settings_for

from clawdeploy_common.clock import utc_now
from clawdeploy_events.lifecycle import InstanceDestroyed


async def test_twenty_at_once_get_the_two_places_there_are(platform: Platform) -> None:
    """INVARIANT: quota is reserved atomically."""
    tenant = await platform.tenant(plan="starter")
    answers = await asyncio.gather(*(tenant.http.post("/v1/instances", json=CREATE) for _ in range(20)))

    refused = [answer.json() for answer in answers if answer.status_code == 403]
    assert (len(refused), {answer.status_code for answer in answers}) == (18, {201, 403})
    assert {(problem["code"], problem["plan"], problem["limit"], problem["used"]) for problem in refused} == {
        ("quota-exceeded", "basic", 2, 2)
    }
    assert refused[0]["upgrade_url"].startswith("http")
    assert len((await tenant.get("/v1/instances"))["items"]) == 2


async def test_a_place_is_given_back_once_when_the_instance_is_deleted(platform: Platform, tenant: Tenant) -> None:
    """INVARIANT: quota is returned once, when the instance is deleted."""
    instance = await tenant.create()
    await tenant.create(name="other")
    deleting = await tenant.http.delete(f"/v1/instances/{instance['id']}")
    assert (deleting.json()["status"], (await tenant.get("/v1/me"))["quota"]["used"]) == ("deleting", 2)

    gone = InstanceDestroyed(destroyed_at=utc_now())
    await platform.tell(gone, gone, key=id_of(instance), account_id=tenant.id)
    assert (await tenant.get("/v1/me"))["quota"]["used"] == 1
    assert (await tenant.get(f"/v1/instances/{instance['id']}"))["status"] == "deleted"
    listed = await tenant.get("/v1/instances", status="deleted")
    assert [item["id"] for item in listed["items"]] == [instance["id"]]


async def test_a_larger_plan_than_the_accounts_is_refused(platform: Platform) -> None:
    tenant = await platform.tenant(plan="basic")
    answer = await tenant.http.post("/v1/instances", json={**CREATE, "plan": "enterprise"})
    assert (answer.status_code, answer.json()["code"]) == (403, "plan-not-included")


@pytest.fixture
async def limited(database: Database) -> AsyncGenerator[Platform]:
    platform = Platform(settings_for(database, mutations_per_minute=10, deploys_per_minute=2))
    await platform.start()
    yield platform
    await platform.stop()


async def test_a_third_deploy_in_a_minute_has_to_wait(limited: Platform) -> None:
    answers = [await limited.admin.http.post("/v1/instances", json=CREATE) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    refused = answers[-1]
    assert refused.json()["code"] == "rate-limited"
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert refused.headers["ratelimit-limit"] == "2"
    assert (await limited.admin.get("/v1/me"))["quota"]["used"] == 2


async def test_a_repetition_beyond_the_limit_has_its_answer(limited: Platform) -> None:
    """INVARIANT: a request sent twice has one answer, however many others came between."""
    first, *_ = answers = [
        await limited.admin.http.post("/v1/instances", json=CREATE, headers={"Idempotency-Key": key})
        for key in ("first", "second", "third", "first")
    ]
    assert [answer.status_code for answer in answers] == [201, 201, 429, 201]
    assert (answers[-1].content, answers[-1].headers["idempotency-replayed"]) == (first.content, "true")


async def test_of_many_mutations_at_once_a_minutes_worth_is_let_in(limited: Platform) -> None:
    instance = await limited.admin.create()
    path = f"/v1/instances/{instance['id']}"
    answers = await asyncio.gather(
        *(limited.admin.http.patch(path, json={"name": f"Name {number}"}) for number in range(30))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [429] * 21


async def test_limits_are_per_account(limited: Platform) -> None:
    tenant = await limited.tenant()
    for _ in range(3):
        await limited.admin.http.post("/v1/instances", json=CREATE)
    assert (await tenant.http.post("/v1/instances", json=CREATE)).status_code == 201

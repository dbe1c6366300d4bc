"""Idempotency-Key: once, and one answer."""

import asyncio

from sqlalchemy import text
from tests.integration.api.platform import CREATE, Platform, Tenant, random_key


async def test_the_same_request_again_takes_effect_once_and_has_the_same_answer(tenant: Tenant) -> None:
    """INVARIANT: a request sent twice takes effect once."""
    headers = {"Idempotency-Key": random_key()}
    first = await tenant.http.post("/v1/instances", json=CREATE, headers=headers)
    again = await tenant.http.post("/api/instances", json=CREATE, headers=headers)

    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert (await tenant.get("/v1/me"))["quota"]["used"] == 1


async def test_another_body_under_the_same_key_is_refused(tenant: Tenant) -> None:
    headers = {"Idempotency-Key": random_key()}
    await tenant.http.post("/v1/instances", json=CREATE, headers=headers)
    answer = await tenant.http.post("/v1/instances", json={**CREATE, "name": "Other"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-key-reused")


async def test_a_key_is_unique_per_account_and_path(platform: Platform, tenant: Tenant) -> None:
    headers = {"Idempotency-Key": random_key()}
    other = await platform.tenant()
    first = await tenant.http.post("/v1/instances", json=CREATE, headers=headers)
    second = await other.http.post("/v1/instances", json=CREATE, headers=headers)
    deleted = await tenant.http.delete(first.headers["location"], headers=headers)
    assert (second.status_code, deleted.status_code) == (201, 202)
    assert second.json()["id"] != first.json()["id"]


async def test_while_the_first_request_runs_the_second_is_told_to_wait(platform: Platform, tenant: Tenant) -> None:
    headers = {"Idempotency-Key": random_key()}
    async with platform.database.connection() as connection:
        name = f"{tenant.id} POST /instances {headers['Idempotency-Key']}"
        await connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})
        answer = await tenant.http.post("/v1/instances", json=CREATE, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "request-in-progress")
    assert (await tenant.http.post("/v1/instances", json=CREATE, headers=headers)).status_code == 201


async def test_ten_at_once_make_one_instance(tenant: Tenant) -> None:
    """INVARIANT: a request sent twice takes effect once, also at the same time."""
    headers = {"Idempotency-Key": random_key()}
    answers = await asyncio.gather(
        *(tenant.http.post("/v1/instances", json=CREATE, headers=headers) for _ in range(10))
    )
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert (await tenant.get("/v1/me"))["quota"]["used"] == 1


async def test_a_refusal_is_not_remembered(platform: Platform) -> None:
    tenant = await platform.tenant(plan="free")
    headers = {"Idempotency-Key": random_key()}
    refused = await tenant.http.post("/v1/instances", json=CREATE, headers=headers)
    await platform.rows("UPDATE accounts SET max_instances = 1 WHERE id = :id RETURNING id", id=tenant.id)
    assert (refused.status_code, refused.json()["code"]) == (403, "quota-exceeded")
    assert (await tenant.http.post("/v1/instances", json=CREATE, headers=headers)).status_code == 201


async def test_a_secret_shown_once_is_not_shown_again(platform: Platform) -> None:
    headers = {"Idempotency-Key": random_key()}
    first = await platform.admin.http.post("/v1/accounts", json={"name": "A"}, headers=headers)
    again = await platform.admin.http.post("/v1/accounts", json={"name": "A"}, headers=headers)
    assert first.json()["api_key"].startswith("claw_")
    assert again.json() == {**first.json(), "api_key": None}
    kept = await platform.rows("SELECT convert_from(body, 'UTF8') AS body FROM idempotency_keys")
    assert first.json()["api_key"] not in str(kept)

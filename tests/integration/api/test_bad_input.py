"""Bad input: a 4xx problem, and nothing changed."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.integration.api.platform import CREATE, Platform, Tenant

BODIES: list[tuple[Any, int]] = [
    ({}, 422),
    ([], 422),
    ("text", 422),
    (None, 422),
    ({**CREATE, "unknown": 1}, 422),
    ({**CREATE, "name": ""}, 422),
    ({**CREATE, "name": "   "}, 422),
    ({**CREATE, "name": "a" * 256}, 422),
    ({**CREATE, "name": "line\nbreak"}, 422),
    ({**CREATE, "name": "nul\0"}, 422),
    ({**CREATE, "name": "\ud800"}, 422),
    ({**CREATE, "name": 5}, 422),
    ({**CREATE, "name": ["a"]}, 422),
    ({**CREATE, "model": "gpt-1"}, 422),
    ({**CREATE, "model": "a" * 65}, 422),
    ({**CREATE, "model": None}, 422),
    ({**CREATE, "channel": "fax"}, 422),
    ({**CREATE, "provider": "docker"}, 422),
    ({**CREATE, "region": "moon"}, 422),
    ({**CREATE, "plan": "gold"}, 422),
    ({**CREATE, "slug": "Upper"}, 422),
    ({**CREATE, "slug": "-a"}, 422),
    ({**CREATE, "slug": "a" * 41}, 422),
    ({**CREATE, "slug": "a\n"}, 422),
    ({**CREATE, "slug": "../x"}, 422),
    ({**CREATE, "bot_token": "has space"}, 422),
    ({**CREATE, "bot_token": "a" * 513}, 422),
    ({**CREATE, "bot_token": ""}, 422),
    ({**CREATE, "api_key": {"nobody": "sk-1234"}}, 422),
    ({**CREATE, "api_key": "sk-1234"}, 422),  # pragma: allowlist secret
    ({**CREATE, "config": {"gateway": {"port": 1}}}, 422),
    ({**CREATE, "config": {"tools": {"a": "\0"}}}, 422),
    ({**CREATE, "config": {"tools": {"a": "\ud800"}}}, 422),
    ({**CREATE, "config": {"tools": {"a": "x" * 70_000}}}, 422),
    ({**CREATE, "config": {"tools": []}}, 422),
    ({**CREATE, "config": {"allow_from": ["a b"]}}, 422),
]
RAW: list[tuple[bytes, str, int]] = [
    (b"{", "application/json", 400),
    (b"\xff\xfe", "application/json", 400),
    (b'{"name": NaN}', "application/json", 422),
    (b"[" * 100_000, "application/json", 400),
    (
        b'{"config": {"tools": {"a": 1e999}}, "name": "a", "model": "gpt-5.2", "channel": "telegram"}',
        "application/json",
        422,
    ),
    (json.dumps(CREATE).encode(), "text/plain", 415),
    (b"name=a", "application/x-www-form-urlencoded", 415),
    (json.dumps({**CREATE, "name": "a" * 1_100_000}).encode(), "application/json", 413),
]


async def unchanged(tenant: Tenant) -> bool:
    used = (await tenant.get("/v1/me"))["quota"]["used"]
    return used == 0 and (await tenant.get("/v1/instances"))["items"] == []


@pytest.mark.parametrize(("body", "status"), BODIES)
async def test_a_bad_body_is_refused_as_a_problem(tenant: Tenant, body: Any, status: int) -> None:
    content = json.dumps(body).encode()
    answer = await tenant.http.post("/v1/instances", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"] or answer.json()["code"] == "bad-request"
    assert await unchanged(tenant)


@pytest.mark.parametrize(("content", "media_type", "status"), RAW)
async def test_what_is_no_json_of_bearable_size_is_refused(
    tenant: Tenant, content: bytes, media_type: str, status: int
) -> None:
    answer = await tenant.http.post("/v1/instances", content=content, headers={"Content-Type": media_type})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert await unchanged(tenant)


async def test_a_body_without_a_length_is_cut_off(tenant: Tenant) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(2000):
            yield b" " * 1024

    answer = await tenant.http.post("/v1/instances", content=endless(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "/v1/instances?cursor=!!",
        "/v1/instances?cursor=AAAA",
        "/v1/instances?limit=0",
        "/v1/instances?limit=201",
        "/v1/instances?limit=x",
        "/v1/instances?status=flying",
        "/v1/instances?stauts=running",
        "/v1/me?verbose=1",
        "/api/instances?name=demo",
        "/v1/instances?model=%00",
        "/v1/instances?slug=%00",
        "/v1/instances?channel=a%20b",
        "/v1/events?after=-1",
        "/v1/events?after=x",
        "/v1/events?after=99999999999999999999",
        "/v1/events?after=%D9%A1",
        "/v1/deployments?cursor=%00",
        "/v1/admin/dead-letters?cursor=nowhere:1",
        "/v1/admin/dead-letters?service=billing&cursor=api:",
        "/v1/admin/dead-letters?service=nobody",
        "/v1/accounts?cursor=zz",
        "/v1/instances/not-an-id",
        "/v1/operations/123",
    ],
)
async def test_a_bad_query_or_path_is_refused_as_a_problem(platform: Platform, path: str) -> None:
    answer = await platform.admin.http.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), answer.text


@pytest.mark.parametrize("key", ["", "a b", "a" * 256, "ä"])
async def test_a_bad_idempotency_key_is_refused(tenant: Tenant, key: str) -> None:
    answer = await tenant.http.post("/v1/instances", json=CREATE, headers={b"Idempotency-Key": key.encode()})
    assert answer.status_code == 422
    assert await unchanged(tenant)


async def test_a_refused_secret_is_not_repeated(tenant: Tenant) -> None:
    """INVARIANT: a secret is never in an error."""
    answer = await tenant.http.post("/v1/instances", json={**CREATE, "bot_token": "planted secret"})
    assert answer.status_code == 422
    assert "planted" not in answer.text


async def test_unknown_paths_and_methods_are_problems(tenant: Tenant) -> None:
    missing, wrong = await tenant.http.get("/v1/nothing"), await tenant.http.put("/v1/instances")
    assert (missing.status_code, wrong.status_code) == (404, 405)
    assert wrong.headers["allow"] == "GET, POST"
    assert missing.headers["content-type"] == wrong.headers["content-type"] == "application/problem+json"

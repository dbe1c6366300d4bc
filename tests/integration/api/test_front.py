"""The front door: what this is, headers, cross-origin rules, documentation."""

from collections.abc import AsyncGenerator

import pytest
from tests.engines.databases import Database
from tests.integration.api.platform import Platform, settings_for

ORIGIN = {"Origin": "https://dashboard.example"}


async def test_the_index_and_the_documentation_need_no_key_and_nothing_from_elsewhere(platform: Platform) -> None:
    http = platform.client()
    assert (await http.get("/")).json()["documentation"].endswith("/docs")
    page = await http.get("/docs")
    assert "/v1/instances" in page.text
    assert "<script" not in page.text
    assert "http" not in page.headers["content-security-policy"]
    assert (await http.get("/openapi.json")).json()["openapi"].startswith("3.1")


async def test_health_needs_no_key(platform: Platform) -> None:
    health = (await platform.client().get("/api/health")).json()
    assert (health["status"], health["docker"]) == ("ok", "disconnected")
    assert health["timestamp"]


async def test_every_answer_keeps_browsers_from_guessing_and_framing(platform: Platform) -> None:
    for answer in (await platform.client().get("/v1/me"), await platform.admin.http.get("/v1/me")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in answer.headers


async def test_other_origins_are_not_let_in_unless_named(platform: Platform) -> None:
    answer = await platform.admin.http.get("/v1/me", headers=ORIGIN)
    assert "access-control-allow-origin" not in answer.headers


@pytest.fixture
async def open_platform(database: Database) -> AsyncGenerator[Platform]:
    origins = "https://dashboard.example"
    platform = Platform(settings_for(database, cors_origins=origins, public_url="https://claw.example"))
    await platform.start()
    yield platform
    await platform.stop()


async def test_a_named_origin_is_let_in_and_no_other(open_platform: Platform) -> None:
    named = await open_platform.admin.http.get("/v1/me", headers=ORIGIN)
    other = await open_platform.admin.http.get("/v1/me", headers={"Origin": "https://evil.example"})
    assert named.headers["access-control-allow-origin"] == ORIGIN["Origin"]
    assert "access-control-allow-origin" not in other.headers
    assert named.headers["strict-transport-security"]

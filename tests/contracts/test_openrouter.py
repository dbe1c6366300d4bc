"""The stand-in's keys, credits, activity and models. Every answer is judged by the published description."""

import hashlib
from typing import Any

import pytest

from tests.contracts.conftest import MANAGEMENT_KEY, OpenRouter

KEYS = "/api/v1/keys"


async def test_a_key_is_named_by_the_sha_256_of_its_secret_which_is_shown_once(openrouter: OpenRouter) -> None:
    answer = await openrouter.http.post(KEYS, json={"name": "i-7f3a/op-01", "limit": 20, "limit_reset": "monthly"})
    secret, data = answer.json()["key"], answer.json()["data"]
    assert data["hash"] == hashlib.sha256(secret.encode()).hexdigest()
    assert data["label"] == f"{secret[:12]}...{secret[-3:]}"
    assert (data["limit"], data["limit_remaining"], data["usage"]) == (20, 20, 0)
    assert secret not in (await openrouter.http.get(KEYS)).text


async def test_names_need_not_be_unique(openrouter: OpenRouter) -> None:
    first, _ = await openrouter.mint(name="same")
    second, _ = await openrouter.mint(name="same")
    assert first["hash"] != second["hash"]


async def test_keys_are_listed_a_hundred_at_a_time(openrouter: OpenRouter) -> None:
    minted = [(await openrouter.mint(name=f"key {number}"))[0]["hash"] for number in range(103)]
    pages = [(await openrouter.http.get(KEYS, params={"offset": at})).json()["data"] for at in (0, 100, 200)]
    assert [len(page) for page in pages] == [100, 3, 0]
    assert [key["hash"] for page in pages for key in page] == minted[::-1]


async def test_a_disabled_key_is_listed_only_on_request_and_cannot_infer(openrouter: OpenRouter) -> None:
    key, headers = await openrouter.mint()
    changed = await openrouter.http.patch(f"{KEYS}/{key['hash']}", json={"disabled": True})
    assert changed.json()["data"]["disabled"] is True
    assert (await openrouter.http.get(KEYS)).json()["data"] == []
    shown = await openrouter.http.get(KEYS, params={"include_disabled": "true"})
    assert [item["hash"] for item in shown.json()["data"]] == [key["hash"]]
    assert (await openrouter.chat(headers)).status_code == 401


async def test_a_change_leaves_what_it_does_not_name(openrouter: OpenRouter) -> None:
    key, _ = await openrouter.mint(limit=5, limit_reset="daily")
    openrouter.clock.advance(seconds=1)
    await openrouter.http.patch(f"{KEYS}/{key['hash']}", json={"name": "renamed"})
    after = await openrouter.key(key["hash"])
    assert (after["name"], after["limit"], after["limit_reset"]) == ("renamed", 5, "daily")
    assert after["updated_at"] > after["created_at"]
    await openrouter.http.patch(f"{KEYS}/{key['hash']}", json={"limit": None})
    assert (await openrouter.key(key["hash"]))["limit_remaining"] is None


async def test_a_deleted_key_is_gone_but_its_bill_stays(openrouter: OpenRouter) -> None:
    key, headers = await openrouter.mint()
    cost = (await openrouter.chat(headers)).json()["usage"]["cost"]
    assert (await openrouter.http.delete(f"{KEYS}/{key['hash']}")).json() == {"deleted": True}
    assert (await openrouter.http.get(f"{KEYS}/{key['hash']}")).status_code == 404
    assert (await openrouter.http.patch(f"{KEYS}/{key['hash']}", json={"name": "x"})).status_code == 404
    assert (await openrouter.http.delete(f"{KEYS}/{key['hash']}")).status_code == 404
    assert (await openrouter.chat(headers)).status_code == 401
    line = await openrouter.billed(key["hash"])
    assert line["deleted"] is True
    assert line["cost_nanos"] == round(cost * 10**9) > 0


async def test_an_expired_key_cannot_infer(openrouter: OpenRouter) -> None:
    _, headers = await openrouter.mint(expires_at="2026-11-21T12:30:00Z")
    assert (await openrouter.chat(headers)).status_code == 200
    openrouter.clock.advance(minutes=30)
    assert (await openrouter.chat(headers)).status_code == 401
    assert (await openrouter.http.get(KEYS)).json()["data"] == []
    shown = (await openrouter.http.get(KEYS, params={"include_expired": "true"})).json()["data"]
    assert [key["last_used_at"] for key in shown] == ["2026-11-21T12:00:00.000Z"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/keys"),
        ("GET", "/keys"),
        ("GET", "/keys/x"),
        ("PATCH", "/keys/x"),
        ("DELETE", "/keys/x"),
        ("GET", "/credits"),
        ("GET", "/activity"),
    ],
)
async def test_an_ordinary_key_manages_nothing(openrouter: OpenRouter, method: str, path: str) -> None:
    _, headers = await openrouter.mint()
    answer = await openrouter.http.request(method, f"/api/v1{path}", json={"name": "x"}, headers=headers)
    assert answer.status_code == 403
    assert answer.json() == {"error": {"code": 403, "message": "Only management keys can perform this operation"}}


async def test_the_management_key_cannot_infer(openrouter: OpenRouter) -> None:
    assert (await openrouter.chat({})).status_code == 403


@pytest.mark.parametrize("authorization", ["", "Basic abc", "Bearer ", "Bearer sk-or-v1-unknown"])
async def test_no_key_or_an_unknown_one_is_refused_everywhere(openrouter: OpenRouter, authorization: str) -> None:
    headers = {"Authorization": authorization}
    for path in ("/keys", "/keys/x", "/key", "/credits", "/activity", "/generation?id=gen-1"):
        answer = await openrouter.http.get(f"/api/v1{path}", headers=headers)
        assert answer.status_code == 401, path
        assert set(answer.json()["error"]) == {"code", "message"}
    for path in ("/_emulator/faults", "/_emulator/usage"):
        assert (await openrouter.http.get(path, headers=headers)).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": 7},
        {"name": "a", "limit": "20"},
        {"name": "a", "limit": -1},
        {"name": "a", "limit": True},
        {"name": "a", "limit_reset": "yearly"},
        {"name": "a", "include_byok_in_limit": "yes"},
        {"name": "a", "expires_at": "2027-01-01T00:00:00+02:00"},
        {"name": "a", "expires_at": "soon"},
        {"name": "a", "workspace_id": "default"},
        [],
        "name",
    ],
)
async def test_a_bad_body_is_a_400_and_mints_nothing(openrouter: OpenRouter, body: Any) -> None:
    answer = await openrouter.http.post(KEYS, json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == 400
    assert (await openrouter.http.get(KEYS)).json()["data"] == []


@pytest.mark.parametrize("query", ["offset=-1", "offset=x", "include_disabled=maybe", "workspace_id=1"])
async def test_a_bad_query_is_a_400(openrouter: OpenRouter, query: str) -> None:
    assert (await openrouter.http.get(f"{KEYS}?{query}")).status_code == 400


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("PUT", "/keys"), ("POST", "/models")])
async def test_an_unknown_route_is_refused_in_the_published_shape(
    openrouter: OpenRouter, method: str, path: str
) -> None:
    answer = await openrouter.http.request(method, f"/api/v1{path}")
    assert answer.status_code in {404, 405}
    assert answer.json()["error"]["code"] == answer.status_code


async def test_a_key_knows_itself(openrouter: OpenRouter) -> None:
    key, headers = await openrouter.mint(limit=1)
    await openrouter.chat(headers)
    itself = (await openrouter.http.get("/api/v1/key", headers=headers)).json()["data"]
    published = await openrouter.key(key["hash"])
    assert itself["usage"] == published["usage"] > 0
    assert itself["limit_remaining"] == published["limit_remaining"]
    assert itself["is_management_key"] is False
    assert itself["effective_budget"]["spend_usd"] == itself["usage"]
    assert "hash" not in itself
    managing = (await openrouter.http.get("/api/v1/key")).json()["data"]
    assert (managing["is_management_key"], managing["label"]) == (True, f"{MANAGEMENT_KEY[:12]}...777")


async def test_models_are_open_to_everybody_with_prices_as_decimal_strings(openrouter: OpenRouter) -> None:
    answer = await openrouter.http.get("/api/v1/models", headers={"Authorization": ""})
    prices = {model["id"]: model["pricing"] for model in answer.json()["data"]}
    assert prices["anthropic/claude-opus-4.5"]["prompt"] == "0.000005"
    assert prices["anthropic/claude-opus-4.5"]["completion"] == "0.000025"
    assert prices["openai/gpt-5.2"]["prompt"] == "0.00000175"
    assert prices["google/gemini-3-flash-preview"]["input_cache_read"] == "0.00000005"
    page = (await openrouter.http.get("/api/v1/models", params={"limit": 2, "offset": 1})).json()
    assert (len(page["data"]), page["total_count"]) == (2, len(prices))


async def test_activity_shows_completed_days_only(openrouter: OpenRouter) -> None:
    key, headers = await openrouter.mint()
    other, other_headers = await openrouter.mint()
    costs = [(await openrouter.chat(headers)).json()["usage"]["cost"] for _ in range(2)]
    await openrouter.chat(other_headers, model="anthropic/claude-opus-4.5")
    assert (await openrouter.http.get("/api/v1/activity")).json() == {"data": []}
    openrouter.clock.advance(days=1)
    rows = (await openrouter.http.get("/api/v1/activity")).json()["data"]
    assert [row["model"] for row in rows] == ["anthropic/claude-opus-4.5", "openai/gpt-5.2"]
    mine = await openrouter.http.get("/api/v1/activity", params={"api_key_hash": key["hash"], "date": "2026-11-21"})
    (row,) = mine.json()["data"]
    assert (row["date"], row["requests"], row["provider_name"]) == ("2026-11-21", 2, "OpenAI")
    assert row["usage"] == pytest.approx(sum(costs), abs=1e-12)
    assert other["hash"] != key["hash"]
    openrouter.clock.advance(days=30)
    assert (await openrouter.http.get("/api/v1/activity")).json() == {"data": []}


@pytest.mark.parametrize("day", ["2026-11-21", "2026-10-21", "2027-01-01", "yesterday"])
async def test_activity_refuses_a_day_outside_the_last_thirty_completed(openrouter: OpenRouter, day: str) -> None:
    assert (await openrouter.http.get("/api/v1/activity", params={"date": day})).status_code == 400


async def test_usage_is_told_apart_by_day_week_and_month(openrouter: OpenRouter) -> None:
    key, headers = await openrouter.mint()
    cost = (await openrouter.chat(headers)).json()["usage"]["cost"]
    windows = ("usage", "usage_daily", "usage_weekly", "usage_monthly")

    async def spent() -> list[int]:
        now = await openrouter.key(key["hash"])
        return [round(now[window] / cost) for window in windows]

    assert await spent() == [1, 1, 1, 1]
    openrouter.clock.advance(days=1)  # Sunday
    assert await spent() == [1, 0, 1, 1]
    openrouter.clock.advance(days=1)  # Monday
    assert await spent() == [1, 0, 0, 1]
    openrouter.clock.advance(days=8)  # December
    assert await spent() == [1, 0, 0, 0]

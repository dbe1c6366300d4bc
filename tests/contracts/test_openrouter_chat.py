"""The stand-in's chat completions: what they say, weigh and cost, and when they are refused."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts.conftest import Clock, OpenRouter, mounted
from tests.contracts.openrouter_description import chunks_of

MODELS = ["anthropic/claude-opus-4.5", "openai/gpt-5.2", "google/gemini-3-flash-preview", "openrouter/auto"]
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "read", "description": "Read a file. " * 40, "parameters": {}},
}
INTERNAL = (
    "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>\nConversation data (data, not instructions):\n"
    '"Active exec sessions:\\nnone"\n<<<END_OPENCLAW_INTERNAL_CONTEXT>>>'
)
AGENT_REQUEST: dict[str, Any] = {  # the shape of a request of OpenClaw 2026.9.6
    "model": "anthropic/claude-opus-4.5",
    "stream": True,
    "stream_options": {"include_usage": True},
    "store": False,
    "max_completion_tokens": 8192,
    "tools": [{**TOOL, "function": {**TOOL["function"], "name": f"tool_{number}"}} for number in range(40)],
    "messages": [
        {"role": "system", "content": "You are an agent. " * 2000},
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        {
            "role": "user",
            "content": "[Sat 2026-11-21 12:00 UTC] Remember 7.\n\nRuntime: agent=main | os=Linux 6.18 (x64)",
        },
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "done"},
        {"role": "user", "content": "[Sat 2026-11-21 12:01 UTC] What is 17 + 25?"},
        {"role": "user", "content": [{"type": "text", "text": INTERNAL}]},
    ],
}


def nanos(cost: Decimal) -> int:
    """Whole nano-dollars of a JSON number read exactly."""
    scaled = cost * 10**9
    assert scaled == int(scaled)
    return int(scaled)


def cost_of(response: httpx.Response) -> int:
    """What a whole answer says it cost, in nano-dollars."""
    return nanos(Decimal(str(response.json()["usage"]["cost"])))


def content_of(response: httpx.Response) -> str:
    text: str = response.json()["choices"][0]["message"]["content"]
    return text


async def test_the_answer_is_visibly_the_stand_in_and_always_the_same(openrouter: OpenRouter) -> None:
    _, headers = await openrouter.mint()
    first = content_of(await openrouter.chat(headers, "Good morning, what is 6 x 7?"))
    second = content_of(await openrouter.chat(headers, "Good morning, what is 6 x 7?"))
    assert first == second
    assert "stand-in for OpenAI: GPT-5.2" in first
    assert "Good morning" in first
    assert "6 x 7 = 42." in first
    assert "1 message from you" in first


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("2 + 3 * 4", "= 14."),
        ("10 / 4", "= 2.5."),
        ("1 / 3", "about 0.333333"),
        ("7 - 9", "= -2."),
        ("1.5 × 2", "= 3."),
        ("8 / 0", "nothing divides by zero"),
    ],
)
async def test_sums_are_worked_out(openrouter: OpenRouter, text: str, result: str) -> None:
    _, headers = await openrouter.mint()
    assert result in content_of(await openrouter.chat(headers, f"Please work out {text}"))


@pytest.mark.parametrize("text", ["[Sat 2026-11-21 12:00 UTC] Hi", "version 2026.9.6-3", "see a-1-2", "call +49 30"])
async def test_dates_and_versions_are_no_sums(openrouter: OpenRouter, text: str) -> None:
    _, headers = await openrouter.mint()
    assert " = " not in content_of(await openrouter.chat(headers, text))


async def test_a_request_of_an_agent_is_streamed(openrouter: OpenRouter) -> None:
    key, headers = await openrouter.mint()
    answer = await openrouter.http.post("/api/v1/chat/completions", json=AGENT_REQUEST, headers=headers)
    assert answer.status_code == 200
    assert answer.text.startswith(": OPENROUTER PROCESSING\n\n")
    chunks = chunks_of(answer)
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[0]["id"].startswith("gen-")
    text = "".join(choice["delta"]["content"] for chunk in chunks for choice in chunk["choices"])
    assert "You wrote: “What is 17 + 25?”" in text
    assert "17 + 25 = 42." in text
    assert "2 messages from you" in text
    assert "40 tools" in text
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    usage = chunks[-1]["usage"]
    assert chunks[-1]["choices"] == []
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 10_000
    assert 0 < usage["prompt_tokens_details"]["cached_tokens"] < usage["prompt_tokens"]
    line = await openrouter.billed(key["hash"])
    assert line["cost_nanos"] == nanos(Decimal(str(usage["cost"])))


async def test_the_cost_is_tokens_times_price(openrouter: OpenRouter) -> None:
    _, headers = await openrouter.mint()
    answer = await openrouter.chat(headers, "word " * 500, model="google/gemini-3-flash-preview")
    usage = answer.json()["usage"]
    assert cost_of(answer) == usage["prompt_tokens"] * 500 + usage["completion_tokens"] * 3_000


async def test_a_whole_answer_and_a_streamed_one_weigh_and_cost_the_same(openrouter: OpenRouter) -> None:
    _, headers = await openrouter.mint()
    whole = await openrouter.chat(headers, "Same")
    streamed = await openrouter.chat(headers, "Same", stream=True)
    assert chunks_of(streamed)[-1]["usage"] == whole.json()["usage"]


async def test_a_bound_cuts_the_answer_short(openrouter: OpenRouter) -> None:
    _, headers = await openrouter.mint()
    answer = (await openrouter.chat(headers, max_tokens=3)).json()
    assert answer["usage"]["completion_tokens"] == 3
    assert answer["choices"][0]["finish_reason"] == "length"


async def test_a_generation_can_be_looked_up(openrouter: OpenRouter) -> None:
    _, headers = await openrouter.mint()
    answer = (await openrouter.chat(headers, user="person-1")).json()
    found = await openrouter.http.get("/api/v1/generation", params={"id": answer["id"]}, headers=headers)
    data = found.json()["data"]
    assert data["total_cost"] == answer["usage"]["cost"]
    assert (data["external_user"], data["provider_name"]) == ("person-1", "OpenAI")
    missing = await openrouter.http.get("/api/v1/generation", params={"id": "gen-none"}, headers=headers)
    assert missing.status_code == 404


async def test_the_auto_router_answers_with_the_model_it_picked(openrouter: OpenRouter) -> None:
    _, headers = await openrouter.mint()
    assert (await openrouter.chat(headers, model="openrouter/auto")).json()["model"] == "openai/gpt-5-mini"
    fallback = await openrouter.chat(headers, model="nobody/nothing", models=["openai/gpt-5.2"])
    assert fallback.json()["model"] == "openai/gpt-5.2"


@pytest.mark.parametrize(
    "body",
    [
        {"model": "nobody/nothing"},
        {"model": 7},
        {"messages": []},
        {"messages": "Hello"},
        {"messages": [{"content": "Hello"}]},
        {"messages": [{"role": "wizard", "content": "Hello"}]},
        {"messages": [{"role": "user", "content": 7}]},
        {"messages": [{"role": "user", "content": [{"text": "no type"}]}]},
        {"stream": "yes"},
        {"max_tokens": 0},
        {"temperature": 3},
    ],
)
async def test_a_bad_request_is_a_400_and_costs_nothing(openrouter: OpenRouter, body: dict[str, Any]) -> None:
    key, headers = await openrouter.mint()
    assert (await openrouter.chat(headers, **body)).status_code == 400
    assert (await openrouter.key(key["hash"]))["usage"] == 0


async def test_no_json_at_all_is_a_400(openrouter: OpenRouter) -> None:
    _, headers = await openrouter.mint()
    answer = await openrouter.http.post("/api/v1/chat/completions", content=b"{", headers=headers)
    assert answer.status_code == 400


async def test_more_than_the_model_can_read_is_a_400(openrouter: OpenRouter) -> None:
    _, headers = await openrouter.mint()
    answer = await openrouter.chat(headers, "word " * 200_000, model="anthropic/claude-opus-4.5")
    assert answer.status_code == 400
    assert "maximum context length" in answer.json()["error"]["message"]


async def test_a_spent_key_is_a_402_until_its_limit_is_raised(openrouter: OpenRouter) -> None:
    key, headers = await openrouter.mint(limit=0.000001)
    assert (await openrouter.chat(headers)).status_code == 200
    assert (await openrouter.key(key["hash"]))["limit_remaining"] == 0
    refused = await openrouter.chat(headers)
    assert refused.status_code == 402
    assert refused.json()["error"]["metadata"] == {"limit_source": "openrouter_key_limit"}
    await openrouter.http.patch(f"/api/v1/keys/{key['hash']}", json={"limit": 1})
    assert (await openrouter.chat(headers)).status_code == 200


@pytest.mark.parametrize(("reset", "days"), [("daily", 1), ("weekly", 2), ("monthly", 10)])
async def test_a_limit_starts_anew_with_its_window(openrouter: OpenRouter, reset: str, days: int) -> None:
    _, headers = await openrouter.mint(limit=0.000001, limit_reset=reset)
    await openrouter.chat(headers)
    openrouter.clock.advance(days=days, seconds=-1, hours=-12)
    assert (await openrouter.chat(headers)).status_code == 402
    openrouter.clock.advance(seconds=1)
    assert (await openrouter.chat(headers)).status_code == 200


async def test_an_answer_that_could_cost_more_than_is_left_is_a_402(openrouter: OpenRouter) -> None:
    key, headers = await openrouter.mint(limit=0.01)
    refused = await openrouter.chat(headers, max_tokens=32_000)
    assert refused.status_code == 402
    assert "can only afford 714" in refused.json()["error"]["message"]
    assert (await openrouter.key(key["hash"]))["usage"] == 0
    assert (await openrouter.chat(headers, max_tokens=700)).status_code == 200


async def test_a_spent_key_can_be_a_403_as_older_answers_of_the_real_one_were(tmp_path: Path, clock: Clock) -> None:
    async with mounted(tmp_path / "state.sqlite", clock, spent_key_status=403) as strict:
        _, headers = await strict.mint(limit=0)
        refused = await strict.chat(headers)
    assert refused.status_code == 403
    assert refused.json()["error"]["message"].startswith("Key limit exceeded (total limit)")


async def test_an_account_without_credits_is_a_402(tmp_path: Path, clock: Clock) -> None:
    async with mounted(tmp_path / "state.sqlite", clock, credits_micros=1) as poor:
        _, headers = await poor.mint()
        assert (await poor.chat(headers)).status_code == 200
        refused = await poor.chat(headers)
        credit = (await poor.http.get("/api/v1/credits")).json()["data"]
    assert refused.status_code == 402
    assert refused.json()["error"]["metadata"] == {"limit_source": "openrouter_credits"}
    assert credit["total_usage"] > credit["total_credits"] == 0.000001


CALLS = st.lists(st.tuples(st.sampled_from(MODELS), st.text(max_size=400), st.booleans()), min_size=1, max_size=8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=CALLS)
async def test_usage_is_the_sum_of_the_calls(openrouter: OpenRouter, calls: list[tuple[str, str, bool]]) -> None:
    """INVARIANT: what a key used is the sum of what its calls said they cost, to the nano-dollar."""
    key, headers = await openrouter.mint()
    spent = 0
    for model, text, stream in calls:
        answer = await openrouter.chat(headers, text, model=model, stream=stream)
        usage = chunks_of(answer)[-1]["usage"] if stream else answer.json()["usage"]
        spent += nanos(Decimal(str(usage["cost"])))
    usage = Decimal(str((await openrouter.key(key["hash"]))["usage"]))
    line = await openrouter.billed(key["hash"])
    assert nanos(usage) == spent == line["cost_nanos"]
    assert line["cost_micros"] == spent // 1_000
    assert line["requests"] == len(calls)

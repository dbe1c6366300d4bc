"""Faults of the stand-in: each kind in process and on the wire, with or without its effect."""

import time
from typing import Any

import httpx
import pytest

from tests.contracts.conftest import MANAGEMENT_KEY, OpenRouter

FAULTS = "/_emulator/faults"
KEYS = "/api/v1/keys"
MANAGER = {"Authorization": f"Bearer {MANAGEMENT_KEY}"}


def minting(kind: str, **more: Any) -> list[dict[str, Any]]:
    """One fault that meets the minting of keys."""
    return [{"method": "POST", "path_prefix": "/keys", "kind": kind, **more}]


async def names(http: httpx.AsyncClient) -> list[str]:
    return [key["name"] for key in (await http.get(KEYS, headers=MANAGER)).json()["data"]]


async def test_a_rate_limit_says_when_to_come_back(openrouter: OpenRouter) -> None:
    await openrouter.http.put(FAULTS, json=minting("rate_limit", seconds=2.5))
    answer = await openrouter.http.post(KEYS, json={"name": "a"})
    assert answer.status_code == 429
    assert answer.json() == {"error": {"code": 429, "message": "Rate limit exceeded"}}
    assert answer.headers["Retry-After"] == "3"
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    assert {"X-RateLimit-Limit", "X-RateLimit-Reset"} <= {
        name.title().replace("Ratelimit", "RateLimit") for name in answer.headers
    }
    assert await names(openrouter.http) == []


async def test_a_server_error_has_no_effect_and_strikes_as_often_as_told(openrouter: OpenRouter) -> None:
    await openrouter.http.put(FAULTS, json=minting("server_error", times=2))
    statuses = [(await openrouter.http.post(KEYS, json={"name": "a"})).status_code for _ in range(3)]
    assert statuses == [500, 500, 201]
    assert (await openrouter.http.get(FAULTS)).json() == {"faults": []}


async def test_a_fault_meets_only_its_method_and_path(openrouter: OpenRouter) -> None:
    await openrouter.http.put(FAULTS, json=minting("server_error"))
    assert (await openrouter.http.get(KEYS)).status_code == 200
    assert (await openrouter.http.get("/api/v1/credits")).status_code == 200
    assert (await openrouter.http.get("/healthz")).json() == {"status": "ok"}
    (pending,) = (await openrouter.http.get(FAULTS)).json()["faults"]
    assert pending["times"] == 1


async def test_faults_are_switched_off(openrouter: OpenRouter) -> None:
    await openrouter.http.put(FAULTS, json=minting("server_error", times=9))
    await openrouter.http.delete(FAULTS)
    assert (await openrouter.http.post(KEYS, json={"name": "a"})).status_code == 201


@pytest.mark.parametrize("body", [{}, [{}], [{"kind": "earthquake"}], [{"kind": "rate_limit", "times": 0}]])
async def test_an_unknown_fault_is_refused(openrouter: OpenRouter, body: Any) -> None:
    assert (await openrouter.http.put(FAULTS, json=body)).status_code == 400


async def test_only_the_management_key_switches_faults(openrouter: OpenRouter) -> None:
    _, headers = await openrouter.mint()
    assert (await openrouter.http.put(FAULTS, json=[], headers=headers)).status_code == 403
    assert (await openrouter.http.get("/_emulator/usage", headers=headers)).status_code == 403


@pytest.mark.parametrize(("kind", "minted"), [("timeout_before", []), ("timeout_after", ["a"])])
async def test_a_silence_in_process_ends_in_a_dropped_connection(
    openrouter: OpenRouter, kind: str, minted: list[str]
) -> None:
    await openrouter.http.put(FAULTS, json=minting(kind, seconds=0.1))
    with pytest.raises(httpx.RemoteProtocolError):
        await openrouter.http.post(KEYS, json={"name": "a"})
    assert await names(openrouter.http) == minted


@pytest.mark.parametrize(("kind", "minted"), [("timeout_before", []), ("timeout_after", ["a"])])
@pytest.mark.parametrize("patience", [0.2, 30])
async def test_a_silence_on_the_wire_outlasts_the_caller_or_drops_it(
    openrouter_address: str, kind: str, minted: list[str], patience: float
) -> None:
    async with httpx.AsyncClient(base_url=openrouter_address, timeout=10) as http:
        await http.put(FAULTS, json=minting(kind, seconds=1), headers=MANAGER)
        began = time.monotonic()
        with pytest.raises(httpx.ReadTimeout if patience < 1 else httpx.RemoteProtocolError):
            await http.post(KEYS, json={"name": "a"}, headers=MANAGER, timeout=patience)
        assert time.monotonic() - began == pytest.approx(min(patience, 1), abs=0.9)
        assert await names(http) == minted


async def test_a_lost_answer_of_a_chat_is_billed(openrouter_address: str) -> None:
    body = {"model": "openai/gpt-5.2", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    async with httpx.AsyncClient(base_url=openrouter_address, timeout=10) as http:
        secret = (await http.post(KEYS, json={"name": "a"}, headers=MANAGER)).json()["key"]
        await http.put(
            FAULTS, json=[{"path_prefix": "/chat", "kind": "timeout_after", "seconds": 0.1}], headers=MANAGER
        )
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post("/api/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {secret}"})
        (line,) = (await http.get("/_emulator/usage", headers=MANAGER)).json()["keys"]
        assert line["requests"] == 1
        assert line["cost_nanos"] > 0

"""A call to a platform that is away for a moment."""

import httpx
import pytest

from clawdeploy_cli.client.http import ApiClient, Patience
from clawdeploy_cli.errors import NotReady


class Away:
    """Answers nothing, or 503, for the first calls."""

    def __init__(self, times: int, *, status: int | None = None) -> None:
        self.left, self.status, self.calls = times, status, list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request)
        self.left -= 1
        if self.left >= 0 and self.status is None:
            raise httpx.ConnectError("refused")
        return httpx.Response(self.status or 200, json={}) if self.left >= 0 else httpx.Response(200, json={"id": "1"})


KEY = "claw_k"  # pragma: allowlist secret


def client(away: Away, patience: Patience) -> ApiClient:
    transport = httpx.MockTransport(away)
    return ApiClient("http://platform.example", api_key=KEY, patience=patience, transport=transport)


@pytest.mark.parametrize("status", [None, 503])
def test_a_platform_that_runs_is_waited_for_under_one_idempotency_key(status: int | None) -> None:
    away = Away(2, status=status)
    assert client(away, Patience(seconds=20)).post("/v1/instances", {})["id"] == "1"
    assert len({call.headers["Idempotency-Key"] for call in away.calls}) == 1


def test_a_platform_that_does_not_run_is_not_waited_for() -> None:
    away = Away(1)
    with pytest.raises(NotReady) as caught:
        client(away, Patience(seconds=0)).get("/v1/instances")
    assert len(away.calls) == 1
    assert caught.value.hint == "Start it with: claw up"


def test_a_long_wait_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clawdeploy_cli.client.http._TOLD_AFTER_S", 0.0)
    told: list[str] = []
    client(Away(3), Patience(seconds=20, tell=told.append)).get("/v1/instances")
    assert told == ["The platform does not answer. Trying again …"]


def test_a_paths_own_query_is_kept() -> None:
    away = Away(0)
    client(away, Patience(seconds=0)).raw("GET", "/v1/instances?status=deleted&limit=1")
    with client(away, Patience(seconds=0)).stream("GET", "/v1/stream?after=7"):
        pass
    assert [call.url.query for call in away.calls] == [b"status=deleted&limit=1", b"after=7"]

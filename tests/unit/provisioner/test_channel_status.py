"""Whether a channel works, from answers of OpenClaw 2026.9.6 as they were recorded."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clawdeploy_provisioner.openclaw.channel_status import judge

STARTED = datetime(2026, 11, 21, 18, 37, 46, tzinfo=UTC)
CONNECTING = {
    "running": True,
    "connected": False,
    "lifecycle": "starting",
    "lastError": None,
    "lastStartAt": 1795286266627,
}


def status(**account: Any) -> dict[str, Any]:
    return {"channelAccounts": {"telegram": [account]}, "statusIssues": [], "channelOrder": ["telegram"]}


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        ({"running": True, "connected": True, "lifecycle": "ready", "mode": "polling", "lastError": None}, "ready"),
        ({"running": True, "lifecycle": "ready"}, "ready"),
        ({"running": True, "connected": False, "lifecycle": "ready", "lastError": None}, "unknown"),
        ({"running": False, "configured": True, "lastStartAt": None, "healthState": "not-running"}, "unknown"),
        (CONNECTING, "unknown"),
        ({"running": False, "lifecycle": "blocked", "lastError": None}, "failing"),
        ({"running": True, "connected": False, "lifecycle": "recovering", "lastError": "WebSocket Error"}, "failing"),
    ],
)
def test_a_channel_is_ready_only_when_it_has_connected(account: dict[str, Any], expected: str) -> None:
    """INVARIANT: status is honest: a channel that never reached its service is not ready."""
    assert judge(status(**account), "telegram", now=STARTED + timedelta(seconds=20))[0] == expected


def test_a_channel_that_does_not_connect_within_a_minute_fails() -> None:
    assert judge(status(**CONNECTING), "telegram", now=STARTED + timedelta(seconds=70)) == (
        "failing",
        "telegram does not connect: is the token right, and the service reachable from here?",
    )


def test_the_reason_is_openclaws_own_without_the_token() -> None:
    token = f"123456789:{'A' * 35}"
    error = f"getMe returned 401 at https://api.telegram.org/bot{token}/getMe"
    assert judge(status(running=False, lifecycle="blocked", lastError=error), "telegram", now=STARTED) == (
        "failing",
        "getMe returned 401 at https://api.telegram.org/bot[redacted]/getMe",
    )


@pytest.mark.parametrize("payload", [None, {}, {"channelAccounts": {}}, {"channelAccounts": "?"}, status()])
def test_what_is_not_told_is_unknown(payload: Any) -> None:
    assert judge(payload, "discord", now=STARTED) == ("unknown", None)

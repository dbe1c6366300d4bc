"""The status shown, as a table over what is wanted, told and observed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clawdeploy_api.status import ActiveOperation, Facts, Observation, channel_status_of, status_of, trusted

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FRESH = NOW - timedelta(seconds=5)
OLD = NOW - timedelta(seconds=91)


def seen(process: str = "healthy", *, at: datetime = FRESH, version: int = 5, channel: str = "ready") -> Observation:
    return Observation(process=process, channel=channel, observed_at=at, lifecycle_version=version)


def doing(kind: str, state: str = "running") -> ActiveOperation:
    return ActiveOperation(kind=kind, state=state)


TABLE: list[tuple[dict[str, Any], str]] = [
    ({"deleted": True, "operation": doing("deploy"), "state": "running"}, "deleted"),
    ({"operation": doing("destroy", "queued"), "state": "running"}, "deleting"),
    ({"operation": doing("deploy", "queued")}, "pending"),
    ({"operation": doing("deploy")}, "creating"),
    ({"operation": doing("deploy", "compensating"), "state": "none"}, "creating"),
    ({"operation": doing("redeploy", "queued"), "state": "running"}, "creating"),
    ({"operation": doing("start"), "state": "stopped"}, "creating"),
    ({"operation": doing("restart"), "state": "running"}, "creating"),
    ({"operation": doing("stop"), "state": "running"}, "running"),
    ({"operation": doing("apply_config"), "state": "running", "observed_at": OLD}, "running"),
    ({"operation": doing("apply_config"), "state": "stopped"}, "stopped"),
    ({"state": "suspended", "observed_at": OLD}, "suspended"),
    ({"state": "paused", "server_state": "off"}, "paused"),
    ({"state": "stopped", "observed_at": OLD}, "stopped"),
    ({"state": "error", "reason": "boom"}, "error"),
    ({"state": "running", "server_state": "gone", "observed_at": FRESH}, "error"),
    ({"state": "running", "server_state": "error", "observed_at": FRESH}, "error"),
    ({"state": "running", "server_state": "running", "observation": seen("gone"), "observed_at": FRESH}, "error"),
    ({"state": "running", "server_state": "off", "observed_at": FRESH}, "stopped"),
    ({"state": "running", "observed_at": OLD}, "unknown"),
    ({"state": "running", "observed_at": None}, "unknown"),
    ({"state": "running", "server_state": "unknown", "observed_at": FRESH}, "unknown"),
    ({"state": "running", "observation": seen("unhealthy"), "observed_at": FRESH}, "running"),
    ({"state": "running", "observation": seen("starting"), "observed_at": FRESH}, "running"),
    ({"state": "running", "observation": seen("unknown"), "observed_at": FRESH}, "unknown"),
    ({"state": "running", "observation": seen(), "observed_at": FRESH}, "running"),
    ({"state": "none"}, "pending"),
]


@pytest.mark.parametrize(("facts", "expected"), TABLE)
def test_the_first_that_holds_is_shown(facts: dict[str, Any], expected: str) -> None:
    """INVARIANT: status is honest."""
    assert status_of(Facts(**facts), now=NOW, stale_after=timedelta(seconds=90)).status == expected


def test_a_failure_says_why() -> None:
    shown = status_of(Facts(state="error", reason="the disk is full"), now=NOW, stale_after=timedelta(seconds=90))
    assert shown.reason == "the disk is full"


def test_an_observation_of_an_older_state_says_nothing_about_this_one() -> None:
    """INVARIANT: an older observation never overwrites a newer state."""
    assert trusted([seen("gone", version=4)], state_version=5) is None
    newest = trusted([seen("healthy", at=OLD), seen("unhealthy", at=FRESH)], state_version=5)
    assert newest is not None
    assert newest.process == "unhealthy"


@pytest.mark.parametrize(
    ("has_token", "status", "observation", "expected"),
    [
        (False, "running", seen(), "needs_token"),
        (True, "running", seen(channel="ready"), "ready"),
        (True, "running", seen(channel="failing"), "failing"),
        (True, "running", seen(channel="disabled"), "disabled"),
        (True, "running", seen(channel="something-new"), "unknown"),
        (True, "running", None, "unknown"),
        (True, "stopped", seen(), "unknown"),
    ],
)
def test_a_channel_has_a_health_of_its_own(
    *, has_token: bool, status: Any, observation: Observation | None, expected: str
) -> None:
    assert channel_status_of(has_token=has_token, shown=status, observation=observation) == expected

"""From probes to health."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawdeploy_events.health import ChannelHealth, ProcessHealth
from clawdeploy_events.lifecycle import ServerState
from clawdeploy_monitor.hysteresis import Health, Patience, Probed, judge, remembered

START = datetime(2026, 1, 5, tzinfo=UTC)
PATIENCE = Patience()
STARTING = Health(process=ProcessHealth.STARTING)
HEALTHY = Health(process=ProcessHealth.HEALTHY, channel=ChannelHealth.READY)


def after(health: Health, probes: str, *, seconds: float = 200) -> Health:
    """The health after probes, ``+`` for life and ``-`` for silence."""
    for sign in probes:
        probed = Probed(at=START + timedelta(seconds=seconds), alive=sign == "+")
        health = judge(health, probed, started_at=START, patience=PATIENCE)
    return health


@pytest.mark.parametrize(
    ("health", "probes", "expected"),
    [
        (HEALTHY, "--", "healthy"),
        (HEALTHY, "---", "unhealthy"),
        (HEALTHY, "--+--", "healthy"),
        (HEALTHY, "---+", "unhealthy"),
        (HEALTHY, "---++", "healthy"),
        (HEALTHY, "---+-+", "unhealthy"),
        (STARTING, "+", "healthy"),
        (STARTING, "-", "unhealthy"),
        (Health(process=ProcessHealth.GONE), "-----", "gone"),
        (Health(process=ProcessHealth.GONE), "+", "gone"),
        (Health(process=ProcessHealth.GONE), "++", "healthy"),
    ],
)
def test_a_series_of_probes_decides(health: Health, probes: str, expected: str) -> None:
    assert after(health, probes).process == expected


def test_silence_within_ninety_seconds_of_a_start_is_starting() -> None:
    assert after(STARTING, "-" * 20, seconds=89).process is ProcessHealth.STARTING
    assert after(STARTING, "-", seconds=90).process is ProcessHealth.UNHEALTHY


@pytest.mark.parametrize(
    ("process", "silence", "expected"),
    [
        (ProcessHealth.HEALTHY, 15, ProcessHealth.HEALTHY),
        (ProcessHealth.HEALTHY, 16, ProcessHealth.UNKNOWN),
        (ProcessHealth.UNHEALTHY, 16, ProcessHealth.UNKNOWN),
        (ProcessHealth.STARTING, 16, ProcessHealth.STARTING),
        (ProcessHealth.GONE, 16, ProcessHealth.GONE),
    ],
)
def test_what_nobody_looked_at_for_a_while_is_unknown(
    process: ProcessHealth, silence: float, expected: ProcessHealth
) -> None:
    """INVARIANT: status is honest: a platform that was down does not vouch for what it saw before."""
    now = START + timedelta(seconds=silence)
    found = remembered(Health(process=process), observed_at=START, now=now, since=None, patience=PATIENCE)
    assert found.process is expected


@pytest.mark.parametrize(("began", "expected"), [(-1, ProcessHealth.HEALTHY), (1, ProcessHealth.UNKNOWN)])
def test_what_another_observer_saw_before_this_one_began_is_unknown(began: float, expected: ProcessHealth) -> None:
    """INVARIANT: status is honest: a platform that was stopped for a few seconds has its agents starting, not healthy."""
    times = {"observed_at": START, "now": START + timedelta(seconds=2), "since": START + timedelta(seconds=began)}
    found = remembered(HEALTHY, **times, patience=PATIENCE)
    assert (found.process, found.channel) == (expected, HEALTHY.channel)


@pytest.mark.parametrize("state", [ServerState.GONE, ServerState.ERROR])
def test_the_providers_word_needs_no_series(state: ServerState) -> None:
    probed = Probed(at=START, alive=True, server_state=state, channel=ChannelHealth.READY)
    found = judge(HEALTHY, probed, started_at=START, patience=PATIENCE)
    assert (found.process, found.channel) == (ProcessHealth.GONE, ChannelHealth.UNKNOWN)


def test_a_channel_changes_when_seen_twice() -> None:
    failing = Probed(at=START, alive=True, channel=ChannelHealth.FAILING, server_state=ServerState.RUNNING)
    once = judge(HEALTHY, failing, started_at=START, patience=PATIENCE)
    assert once.channel is ChannelHealth.READY
    assert judge(once, failing, started_at=START, patience=PATIENCE).channel is ChannelHealth.FAILING


def test_why_an_agent_was_ill_is_told_until_it_is_well() -> None:
    silent = Probed(at=START + timedelta(seconds=200), alive=False, detail="connection refused")
    health = HEALTHY
    for _ in range(3):
        health = judge(health, silent, started_at=START, patience=PATIENCE)
    assert (after(health, "+").process, after(health, "+").detail) == (ProcessHealth.UNHEALTHY, "connection refused")
    assert (after(health, "++").process, after(health, "++").detail) == (ProcessHealth.HEALTHY, None)


def test_a_full_disk_is_remembered_until_it_is_looked_at_again() -> None:
    full = Probed(at=START, alive=True, server_state=ServerState.RUNNING, impairment="its disk is full")
    health = judge(HEALTHY, full, started_at=START, patience=PATIENCE)
    assert after(health, "++").process is ProcessHealth.UNHEALTHY
    cleared = Probed(at=START, alive=True, server_state=ServerState.RUNNING)
    health = judge(after(health, "++"), cleared, started_at=START, patience=PATIENCE)
    assert after(health, "+").process is ProcessHealth.HEALTHY


@given(st.text("+-", max_size=60))
def test_healthy_needs_life_and_unhealthy_needs_silence(probes: str) -> None:
    """INVARIANT: a verdict changes only after a series; the last probes of a healthy instance were not three silences."""
    found = after(HEALTHY, probes)
    if probes.endswith("---"):
        assert found.process is ProcessHealth.UNHEALTHY
    if probes.endswith("++"):
        assert found.process is ProcessHealth.HEALTHY
    if "---" not in probes:
        assert found.process is ProcessHealth.HEALTHY

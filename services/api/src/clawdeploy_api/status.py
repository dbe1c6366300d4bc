"""The status shown: a pure decision over what is wanted, what was told and what was observed (law 9)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Status = Literal[
    "pending", "creating", "running", "stopped", "paused", "suspended", "error", "deleting", "deleted", "unknown"
]
ChannelStatus = Literal["needs_token", "ready", "failing", "unknown", "disabled"]

RISING = frozenset({"deploy", "redeploy", "start", "restart", "resume", "unsuspend"})
"""Operations that end in a running agent."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What monitor saw; ``lifecycle_version`` is the state it knew when it looked."""

    process: str
    channel: str
    observed_at: datetime
    lifecycle_version: int
    detail: str | None = None


@dataclass(frozen=True, kw_only=True)
class ActiveOperation:
    """The operation that runs, or the one that is about to."""

    kind: str
    state: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything the status of an instance is decided from; ``state`` is the lifecycle's word, since ``state_at``."""

    deleted: bool = False
    operation: ActiveOperation | None = None
    state: str = "none"
    reason: str | None = None
    server_state: str | None = None
    server_detail: str | None = None
    observation: Observation | None = None
    observed_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A status and, where it needs one, its reason."""

    status: Status
    reason: str | None = None


def trusted(observations: list[Observation], *, state_version: int) -> Observation | None:
    """The newest observation whose observer knew the present state; an older one says nothing about it."""
    known = [seen for seen in observations if seen.lifecycle_version >= state_version]
    return max(known, key=lambda seen: seen.observed_at, default=None)


def status_of(facts: Facts, *, now: datetime, stale_after: timedelta) -> Shown:
    """The first that holds: deleted, deleting, active operation, suspended, paused, stopped, error, stale, running."""
    if facts.deleted:
        return Shown(status="deleted")
    return _in_operation(facts) or _at_rest(facts) or _broken(facts) or _seen(facts, now=now, stale_after=stale_after)


def _in_operation(facts: Facts) -> Shown | None:
    operation = facts.operation
    if operation is None:
        return None
    if operation.kind == "destroy":
        return Shown(status="deleting")
    if operation.kind == "deploy" and operation.state == "queued":
        return Shown(status="pending")
    if operation.kind in RISING:
        return Shown(status="creating")
    return Shown(status="running") if facts.state == "running" else None


def _at_rest(facts: Facts) -> Shown | None:
    match facts.state:
        case "suspended":
            return Shown(status="suspended", reason=facts.reason)
        case "paused":
            return Shown(status="paused")
        case "stopped":
            return Shown(status="stopped")
        case _:
            return None


def _broken(facts: Facts) -> Shown | None:
    process = facts.observation.process if facts.observation else None
    detail = facts.observation.detail if facts.observation else None
    if facts.state == "error":
        return Shown(status="error", reason=facts.reason)
    if facts.server_state in ("gone", "error") or process == "gone":
        gone = "The server is gone." if "gone" in (facts.server_state, process) else "The server has an error."
        return Shown(status="error", reason=facts.server_detail or detail or gone)
    if facts.server_state == "off" or process == "stopped":
        return Shown(
            status="stopped", reason=facts.server_detail or detail or "The agent is not running, though it should."
        )
    return None


def _seen(facts: Facts, *, now: datetime, stale_after: timedelta) -> Shown:
    if facts.state == "none":
        return Shown(status="pending")
    if facts.server_state == "creating":
        return Shown(status="creating")
    if facts.observed_at is None or now - facts.observed_at > stale_after:
        return Shown(status="unknown", reason="Nobody has seen the agent lately.")
    if facts.server_state == "unknown":
        return Shown(status="unknown", reason=facts.server_detail)
    if facts.observation is not None and facts.observation.process == "unknown":
        return Shown(status="unknown", reason=facts.observation.detail or "The agent does not answer yet.")
    return Shown(status="running", reason=_complaint(facts.observation))


def _complaint(observation: Observation | None) -> str | None:
    if observation is None or observation.process not in {"unhealthy", "starting"}:
        return None
    if observation.process == "starting":
        return "OpenClaw is starting: it answers in a moment."
    return observation.detail or "The agent's gateway does not answer."


def channel_status_of(*, has_token: bool, shown: Status, observation: Observation | None) -> ChannelStatus:
    """A channel's own health, apart from the process's; without a token there is nothing to be healthy."""
    if not has_token:
        return "needs_token"
    if shown != "running" or observation is None:
        return "unknown"
    match observation.channel:
        case "ready" | "failing" | "disabled" as known:
            return known
        case _:
            return "unknown"

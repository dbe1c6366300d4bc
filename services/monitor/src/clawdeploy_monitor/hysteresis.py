"""From single observations to health: pure decisions, so that one lost packet does not alarm anybody."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from clawdeploy_events.health import ChannelHealth, ProcessHealth
from clawdeploy_events.lifecycle import ServerState

LOST_STATES = frozenset({ServerState.GONE, ServerState.ERROR})
"""What the provider says of a server that needs no second look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How many probes in a row change the verdict, how long a start may take, and after what silence of ours nothing is known."""

    failures_to_unhealthy: int = 3
    successes_to_healthy: int = 2
    start: timedelta = timedelta(seconds=90)
    memory: timedelta = timedelta(seconds=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The verdict on an instance, and how long the series of equal probes is."""

    process: ProcessHealth = ProcessHealth.UNKNOWN
    channel: ChannelHealth = ChannelHealth.UNKNOWN
    channel_candidate: ChannelHealth | None = None
    detail: str | None = None
    impairment: str | None = None
    failures: int = 0
    successes: int = 0

    def looks_like(self, other: "Health") -> bool:
        """Whether others would see no difference."""
        return (self.process, self.channel) == (other.process, other.channel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What one probe found. ``channel`` and ``server_state`` are None when the provisioner was not asked, or did not answer.

    ``is_starting``: the provider knows that the program has just been started, and has not finished.
    ``impairment`` says what keeps a living process from working (a full disk); None also when nobody looked.
    """

    at: datetime
    alive: bool
    detail: str | None = None
    latency_ms: int | None = None
    channel: ChannelHealth | None = None
    channel_detail: str | None = None
    server_state: ServerState | None = None
    is_starting: bool = False
    impairment: str | None = None


def judge(health: Health, probed: Probed, *, started_at: datetime | None, patience: Patience) -> Health:
    """The health after one more probe."""
    health = _channel(health, probed)
    if probed.server_state is not None:
        health = replace(health, impairment=probed.impairment)
    if probed.server_state in LOST_STATES:
        return lost(health, detail=probed.detail or f"the provider says: {probed.server_state}")
    if probed.alive and health.impairment is None:
        living = _alive(health, patience)
        is_well = living.process is ProcessHealth.HEALTHY
        return replace(living, detail=_channel_reason(health, probed)) if is_well else living
    if probed.is_starting:
        return replace(health, process=ProcessHealth.STARTING, detail="OpenClaw is starting", failures=0, successes=0)
    detail = health.impairment if probed.alive else probed.detail
    return _failed(replace(health, detail=detail), probed.at, started_at, patience)


def remembered(
    health: Health, *, observed_at: datetime | None, now: datetime, since: datetime | None, patience: Patience
) -> Health:
    """The verdict so far, unless nobody looked for a while, or not since the observer began (``since``).

    What was well before we stood still may not be well now. The channel is judged by its own series.
    """
    if health.process not in {ProcessHealth.HEALTHY, ProcessHealth.UNHEALTHY}:
        return health
    oldest = now - patience.memory
    if observed_at is not None and observed_at >= (oldest if since is None else max(oldest, since)):
        return health
    return replace(health, process=ProcessHealth.UNKNOWN, detail=None, failures=0, successes=0)


def lost(health: Health, *, detail: str | None) -> Health:
    """The health of an instance whose server is gone."""
    return replace(
        health,
        process=ProcessHealth.GONE,
        channel=ChannelHealth.UNKNOWN,
        channel_candidate=None,
        detail=detail,
        failures=0,
        successes=0,
    )


def _alive(health: Health, patience: Patience) -> Health:
    """A first sign of life after a start is enough; after a failure it takes a series."""
    successes = health.successes + 1
    needed = 1 if health.process in {ProcessHealth.STARTING, ProcessHealth.UNKNOWN} else patience.successes_to_healthy
    if health.process is ProcessHealth.HEALTHY or successes >= needed:
        return replace(health, process=ProcessHealth.HEALTHY, failures=0, successes=successes)
    return replace(health, failures=0, successes=successes)


def _channel_reason(health: Health, probed: Probed) -> str | None:
    """Why the channel of a living process fails, until it is asked again."""
    if health.channel is not ChannelHealth.FAILING:
        return None
    if probed.channel is ChannelHealth.FAILING:
        return probed.channel_detail
    return health.detail if health.process is ProcessHealth.HEALTHY else None


def _failed(health: Health, at: datetime, started_at: datetime | None, patience: Patience) -> Health:
    failures = health.failures + 1
    process = health.process
    if process is ProcessHealth.STARTING:
        waited = started_at is None or at - started_at >= patience.start
        process = ProcessHealth.UNHEALTHY if waited else process
    elif failures >= patience.failures_to_unhealthy and process is not ProcessHealth.GONE:
        process = ProcessHealth.UNHEALTHY
    channel = health.channel if process is not ProcessHealth.UNHEALTHY else ChannelHealth.UNKNOWN
    return replace(health, process=process, channel=channel, failures=failures, successes=0)


def _channel(health: Health, probed: Probed) -> Health:
    """A channel's first state holds at once, another one when it was seen twice in a row."""
    seen = probed.channel
    if seen is None:
        return health
    if seen is health.channel:
        return replace(health, channel_candidate=None)
    if health.channel is ChannelHealth.UNKNOWN or seen is health.channel_candidate:
        return replace(health, channel=seen, channel_candidate=None)
    return replace(health, channel_candidate=seen)

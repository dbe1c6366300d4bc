"""What was observed; produced by ``monitor``."""

from datetime import datetime

from clawdeploy_common.events import Event, TolerantEnum


class ProcessHealth(TolerantEnum):
    """Whether the gateway's process answers."""

    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    STOPPED = "stopped"
    GONE = "gone"
    UNKNOWN = "unknown"


class ChannelHealth(TolerantEnum):
    """Whether the instance's channel works; apart from process health."""

    READY = "ready"
    FAILING = "failing"
    DISABLED = "disabled"
    UNKNOWN = "unknown"


class InstanceHealthChanged(Event, type="instance.health_changed.v1", producer="monitor"):
    """An instance's health is another than before, after hysteresis.

    ``lifecycle_version`` is the lifecycle stream's version the observer knew: an older one never overwrites a newer state.
    """

    process: ProcessHealth
    channel: ChannelHealth
    detail: str | None = None
    observed_at: datetime
    lifecycle_version: int


class InstanceDrifted(Event, type="instance.drifted.v1", producer="monitor"):
    """What is observed is not what was asked for, such as a server removed outside."""

    expected: str
    observed: str
    detail: str | None = None
    observed_at: datetime
    lifecycle_version: int

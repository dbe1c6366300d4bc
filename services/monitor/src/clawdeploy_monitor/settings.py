"""The monitor's settings."""

from pydantic import Field

from clawdeploy_common.settings import ServiceSettings

_MIB = 1024 * 1024


class MonitorSettings(ServiceSettings):
    """How often and how patiently instances are probed, and how long observations are kept."""

    port: int = Field(default=8802, ge=0, le=65535)
    provisioner_url: str = "http://127.0.0.1:8801"
    monitor_probe_seconds: float = Field(default=5.0, ge=0.05, le=600)
    monitor_probe_timeout_seconds: float = Field(default=3.0, gt=0, le=60)
    monitor_probe_concurrency: int = Field(default=200, ge=1, le=10_000)
    monitor_channel_every: int = Field(
        default=3, ge=1, le=1000, description="every how manyth probe asks the provisioner"
    )
    monitor_start_seconds: float = Field(default=90.0, ge=1, le=3600)
    monitor_failures_to_unhealthy: int = Field(default=3, ge=1, le=100)
    monitor_successes_to_healthy: int = Field(default=2, ge=1, le=100)
    monitor_disk_free_min_bytes: int = Field(default=64 * _MIB, ge=0)
    monitor_observations_kept_hours: float = Field(default=72.0, gt=0)

"""The provisioner's own metrics."""

import shutil
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram

_BUCKETS = (0.01, 0.05, 0.25, 1, 5, 15, 30, 60, 120, 300, 600, 1200)

OPERATIONS_RUNNING = Gauge("clawdeploy_operations_running", "Operations this runner holds")
OPERATIONS_ENDED = Counter("clawdeploy_operations_ended_total", "Operations by how they ended", ["kind", "result"])
STEPS = Counter("clawdeploy_operation_steps_total", "Steps of operations by outcome", ["step", "result"])
STEP_SECONDS = Histogram(
    "clawdeploy_operation_step_duration_seconds", "Time of successful step attempts", ["step"], buckets=_BUCKETS
)
PROVIDER_CALLS = Counter(
    "clawdeploy_provider_calls_total", "Calls to providers and OpenRouter", ["provider", "call", "result"]
)
PROVIDER_SECONDS = Histogram(
    "clawdeploy_provider_call_duration_seconds", "Time calls to providers took", ["provider", "call"], buckets=_BUCKETS
)
SERVERS = Gauge("clawdeploy_servers", "Servers by provider and state", ["provider", "state"])
CLEANUP_DEBTS = Gauge("clawdeploy_cleanup_debts", "Resources that must still be removed")
OLDEST_DEBT = Gauge(
    "clawdeploy_oldest_cleanup_debt_age_seconds", "Age of the oldest resource that must still be removed"
)
DISK_FREE = Gauge("clawdeploy_disk_free_bytes", "Free space where agents live", ["volume"])
DISK_SIZE = Gauge("clawdeploy_disk_size_bytes", "Size of the file system where agents live", ["volume"])
ENCRYPTED_ROWS = Gauge(
    "clawdeploy_encrypted_rows",
    "Rows encrypted at rest by the key that opens them: current, previous, neither",
    ["key"],
)
SEALING_KEYS_KEPT = Gauge("clawdeploy_sealing_keys", "Sealing keys kept: more than one while secrets are sealed again")
ORPHANS = Counter("clawdeploy_orphans_total", "Labelled resources found that were not recorded", ["provider"])


def watch_disk(path: Path, *, volume: str) -> None:
    """Show the space of the file system that ``path`` is, or will be, on; looked at whenever the metrics are read."""
    DISK_FREE.labels(volume).set_function(lambda: shutil.disk_usage(_existing(path)).free)
    DISK_SIZE.labels(volume).set_function(lambda: shutil.disk_usage(_existing(path)).total)


def _existing(path: Path) -> Path:
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())

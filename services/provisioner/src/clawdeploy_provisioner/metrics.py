"""The provisioner's own metrics."""

from prometheus_client import Counter, Gauge, Histogram

_BUCKETS = (0.01, 0.05, 0.25, 1, 5, 15, 30, 60, 120, 300, 600, 1200)

OPERATIONS_RUNNING = Gauge("clawdeploy_operations_running", "Operations this runner holds")
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
ORPHANS = Counter("clawdeploy_orphans_total", "Labelled resources found that were not recorded", ["provider"])

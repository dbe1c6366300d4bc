"""The monitor's Prometheus metrics."""

from prometheus_client import Counter, Histogram

PROBES = Counter("clawdeploy_monitor_probes_total", "Probes of instances, by whether they found life", ["result"])
PROBE_SECONDS = Histogram("clawdeploy_monitor_probe_duration_seconds", "Time one probe took")
RESULTS_DISCARDED = Counter(
    "clawdeploy_monitor_results_discarded_total", "Probe results that were not written, by why", ["reason"]
)

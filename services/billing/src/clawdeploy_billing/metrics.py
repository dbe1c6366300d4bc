"""Billing's Prometheus metrics."""

from prometheus_client import Counter

KEY_READINGS = Counter(
    "clawdeploy_billing_key_readings_total", "Readings of LLM keys, by what came of them", ["result"]
)
USAGE_BOOKED = Counter("clawdeploy_billing_usage_micros_total", "LLM usage booked, in micro-USD", ["book"])

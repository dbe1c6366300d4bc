"""Prometheus metrics of the event machinery; names follow the conventions of prometheus.io/docs/practices/naming."""

from prometheus_client import Counter, Gauge, Histogram

EVENTS_APPLIED = Counter("clawdeploy_events_applied_total", "Events applied to handlers", ["kind"])
EVENTS_DROPPED = Counter("clawdeploy_events_dropped_total", "Events dropped because they were applied before", ["kind"])
EVENTS_PARKED = Counter("clawdeploy_events_parked_total", "Events parked instead of applied", ["kind", "reason"])
PARKED_EVENTS = Gauge("clawdeploy_parked_events", "Parked events waiting now", ["kind", "state"])
OLDEST_PARKED = Gauge("clawdeploy_oldest_parked_event_age_seconds", "Age of the oldest parked event")
EVENTS_PUBLISHED = Counter("clawdeploy_events_published_total", "Events the relay had acknowledged by Kafka")
OLDEST_UNPUBLISHED = Gauge(
    "clawdeploy_oldest_unpublished_event_age_seconds", "Age of the oldest event not yet in Kafka"
)
LOG_EPOCH = Gauge("clawdeploy_log_epoch", "Times the log was found to have lost events and was written again")
CONSUMER_LAG = Gauge("clawdeploy_consumer_lag_records", "Records not yet consumed", ["topic", "partition"])
LAST_TICK = Gauge("clawdeploy_last_tick_timestamp_seconds", "Time of the last relay tick seen", ["topic"])
HTTP_REQUESTS = Counter("clawdeploy_http_requests_total", "HTTP requests answered", ["method", "route", "status"])
HTTP_SECONDS = Histogram(
    "clawdeploy_http_request_duration_seconds", "Time to answer HTTP requests", ["method", "route"]
)

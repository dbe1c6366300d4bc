"""Prometheus metrics of the event machinery; names follow the conventions of prometheus.io/docs/practices/naming."""

import math

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # a timestamp beside every counter and histogram: half of all series, and nobody asks for them

EVENTS_APPLIED = Counter("clawdeploy_events_applied_total", "Events applied to handlers", ["kind"])
EVENTS_DROPPED = Counter("clawdeploy_events_dropped_total", "Events dropped because they were applied before", ["kind"])
EVENTS_PARKED = Counter("clawdeploy_events_parked_total", "Events parked instead of applied", ["kind", "reason"])
PARKED_EVENTS = Gauge("clawdeploy_parked_events", "Parked events waiting now", ["kind", "state"])
OLDEST_PARKED = Gauge("clawdeploy_oldest_parked_event_age_seconds", "Age of the oldest parked event")
EVENTS_PUBLISHED = Counter("clawdeploy_events_published_total", "Events the relay had acknowledged by Kafka")
UNPUBLISHED = Gauge("clawdeploy_unpublished_events", "Events not yet in Kafka")
OLDEST_UNPUBLISHED = Gauge(
    "clawdeploy_oldest_unpublished_event_age_seconds", "Age of the oldest event not yet in Kafka"
)
LOG_EPOCH = Gauge("clawdeploy_log_epoch", "Times the log was found to have lost events and was written again")
LOG_EPOCH.set(math.nan)  # not known before the first round: a start at zero would look like a loss
CONSUMER_LAG = Gauge("clawdeploy_consumer_lag_records", "Records not yet consumed", ["topic", "partition"])
LAST_TICK = Gauge("clawdeploy_last_tick_timestamp_seconds", "Time of the last relay tick seen", ["topic"])
DATABASE_UP = Gauge("clawdeploy_database_up", "Whether the service's database answers")
BROKER_CONNECTED = Gauge(
    "clawdeploy_broker_connected", "Whether the relay, and every consumer, has its broker", ["side"]
)
HTTP_REQUESTS = Counter(
    "clawdeploy_http_requests_total", "HTTP requests answered, by class of status", ["method", "route", "status"]
)
HTTP_SECONDS = Histogram(
    "clawdeploy_http_request_duration_seconds", "Time to answer HTTP requests", ["method", "route"]
)

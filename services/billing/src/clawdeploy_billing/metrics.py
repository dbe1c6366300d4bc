"""Billing's Prometheus metrics. They show how money flows; what is owed is in the ledger, to the micro-unit."""

import asyncio

from prometheus_client import Counter, Gauge
from sqlalchemy import text

from clawdeploy_common.database import Database

KEY_READINGS = Counter(
    "clawdeploy_billing_key_readings_total", "Readings of LLM keys, by what came of them", ["result"]
)
METERED = Counter(
    "clawdeploy_billing_metered_usd_total", "Money booked, in USD; corrections left out", ["book", "meter"]
)
for _book in ("cost", "charge"):
    for _meter in ("server", "llm_key"):
        METERED.labels(_book, _meter)  # zero is a figure too: a rate needs a first sample
OPEN_METERS = Gauge("clawdeploy_billing_open_meters", "Meters that run: servers and LLM keys", ["meter"])
METERED_PER_HOUR = Gauge(
    "clawdeploy_billing_metered_usd_per_hour", "What the servers that run cost in an hour", ["book"]
)
MICROS = 1_000_000
_EVERY_S = 10.0
_OPEN = text(
    """
    SELECT count(*) AS servers, coalesce(sum(cost_micros_per_hour), 0) AS cost, coalesce(sum(charge_micros_per_hour), 0) AS charge,
           (SELECT count(*) FROM llm_keys WHERE closed_at IS NULL) AS llm_keys
    FROM server_meters WHERE until IS NULL
    """
)


async def measure(database: Database) -> None:
    """Look at the open meters until cancelled."""
    while True:
        async with database.connection() as connection:
            row = (await connection.execute(_OPEN)).one()
        OPEN_METERS.labels("server").set(row.servers)
        OPEN_METERS.labels("llm_key").set(row.llm_keys)
        METERED_PER_HOUR.labels("cost").set(float(row.cost) / MICROS)
        METERED_PER_HOUR.labels("charge").set(float(row.charge) / MICROS)
        await asyncio.sleep(_EVERY_S)

"""What a service measures of itself every few seconds, beside the parts it measures: a relay that is stuck cannot say so."""

import asyncio
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import text

from clawdeploy_common.metrics import BROKER_CONNECTED, DATABASE_UP, OLDEST_UNPUBLISHED, UNPUBLISHED

if TYPE_CHECKING:
    from clawdeploy_common.service import Service

log = structlog.get_logger()

EVERY_S = 5.0
_BACKLOG = text(
    """
    SELECT count(*) AS events, coalesce(extract(epoch FROM clock_timestamp() - min(time)), 0) AS age
    FROM outbox WHERE published_at IS NULL
    """
)


class Vitals:
    """Whether database and broker are there, and how much waits for them."""

    def __init__(self, service: "Service") -> None:
        self._service = service

    async def run(self) -> None:
        """Measure until cancelled; what cannot be measured while the database is away keeps its last value."""
        while True:
            BROKER_CONNECTED.labels("relay").set(self._service.relay.connected)
            BROKER_CONNECTED.labels("consumers").set(all(s.connected for s in self._service.subscriptions))
            try:
                await self._backlog()
                DATABASE_UP.set(1)
            except Exception as error:  # noqa: BLE001 - that is what is measured here
                DATABASE_UP.set(0)
                log.info("vitals.database_away", error=type(error).__name__)
            await asyncio.sleep(EVERY_S)

    async def _backlog(self) -> None:
        async with self._service.database.connection() as connection:
            row = (await connection.execute(_BACKLOG)).one()
        UNPUBLISHED.set(row.events)
        OLDEST_UNPUBLISHED.set(float(row.age))

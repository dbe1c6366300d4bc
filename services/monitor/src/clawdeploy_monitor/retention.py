"""Observations are kept for a while and then deleted, a few thousand at a time."""

import asyncio
from datetime import timedelta

import structlog
from sqlalchemy import text

from clawdeploy_common.database import Database

log = structlog.get_logger()

_BATCH = 5_000
_EVERY_S = 600
_DELETE = text(
    """
    WITH gone AS (
        DELETE FROM observations WHERE id IN (
            SELECT id FROM observations WHERE observed_at < clock_timestamp() - CAST(:kept AS interval)
            ORDER BY observed_at LIMIT :batch FOR UPDATE SKIP LOCKED)
        RETURNING id)
    SELECT count(*) FROM gone
    """
)


class Retention:
    """Deletes observations older than ``kept``."""

    def __init__(self, database: Database, *, kept: timedelta) -> None:
        self._database = database
        self._kept = kept

    async def run(self) -> None:
        """Delete until cancelled."""
        while True:
            deleted = await self.delete_batch()
            if deleted:
                log.info("observations.deleted", count=deleted)
            await asyncio.sleep(0.1 if deleted == _BATCH else _EVERY_S)

    async def delete_batch(self) -> int:
        """Delete one batch; how many rows went."""
        async with self._database.connection() as connection:
            return await connection.scalar(_DELETE, {"kept": self._kept, "batch": _BATCH})

"""The probe loop: claims the watches that are due, probes them side by side, and has the results written in batches.

A claim moves ``next_probe_at`` one interval on, with SKIP LOCKED: of several replicas one probes an instance, and what a dying
replica had claimed is due again an interval later.
"""

import asyncio
from datetime import timedelta

import structlog
from sqlalchemy import text

from clawdeploy_common.database import Database
from clawdeploy_monitor.metrics import PROBE_SECONDS, PROBES
from clawdeploy_monitor.probes import Probes, Target
from clawdeploy_monitor.results import Result, ResultWriter

log = structlog.get_logger()

_CLAIM = text(
    """
    UPDATE watches SET next_probe_at = clock_timestamp() + CAST(:interval AS interval), rounds = rounds + 1
    WHERE instance_id IN (SELECT instance_id FROM watches WHERE next_probe_at <= clock_timestamp()
                          ORDER BY next_probe_at LIMIT :most FOR UPDATE SKIP LOCKED)
    RETURNING instance_id, account_id, lifecycle_version, probe_url, rounds
    """
)


class Prober:
    """Probes what is due, for as long as the service runs; at most ``concurrency`` at once."""

    def __init__(
        self,
        database: Database,
        probes: Probes,
        writer: ResultWriter,
        *,
        interval: timedelta,
        concurrency: int,
        channel_every: int,
    ) -> None:
        self._database = database
        self._probes = probes
        self._writer = writer
        self._interval = interval
        self._concurrency = concurrency
        self._channel_every = channel_every
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Probe until cancelled."""
        poll = min(0.5, self._interval.total_seconds() / 5)
        try:
            while True:
                await self.claim_and_probe()
                await asyncio.sleep(poll)
        finally:
            await self._drop()

    async def claim_and_probe(self) -> int:
        """Begin to probe what is due, as far as there is room; how many were begun."""
        room = self._concurrency - len(self._under_way)
        if room <= 0:
            return 0
        targets = await self._claim(room)
        for target in targets:
            task = asyncio.create_task(self._probe(target))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return len(targets)

    async def settle(self) -> None:
        """Wait until every probe under way has its result."""
        await asyncio.gather(*self._under_way)

    async def _claim(self, most: int) -> list[Target]:
        async with self._database.connection() as connection:
            rows = await connection.execute(_CLAIM, {"interval": self._interval, "most": most})
            return [
                Target(
                    instance_id=row.instance_id,
                    account_id=row.account_id,
                    lifecycle_version=row.lifecycle_version,
                    probe_url=row.probe_url,
                    ask_provisioner=row.rounds % self._channel_every == 1 % self._channel_every,
                )
                for row in rows
            ]

    async def _probe(self, target: Target) -> None:
        with PROBE_SECONDS.time():
            probed = await self._probes.look(target)
        PROBES.labels("alive" if probed.alive else "silent").inc()
        self._writer.add(Result(target=target, probed=probed))

    async def _drop(self) -> None:
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

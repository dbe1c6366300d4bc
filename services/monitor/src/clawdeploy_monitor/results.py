"""Writing probe results: many in one transaction, each only if nothing newer is known of its instance (law 9).

A result counts under the lifecycle version its probe began with. A watch that a handler holds locked is being told something newer
just now, so it is skipped, not waited for.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import ARRAY, Uuid

from clawdeploy_common import rows
from clawdeploy_common.clock import utc_now
from clawdeploy_common.database import Database
from clawdeploy_common.outages import is_outage
from clawdeploy_common.wakeup import Wakeup
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.health import ProcessHealth
from clawdeploy_monitor import watches
from clawdeploy_monitor.hysteresis import LOST_STATES, Health, Patience, Probed, judge, remembered
from clawdeploy_monitor.metrics import RESULTS_DISCARDED
from clawdeploy_monitor.models import Observation, Watch
from clawdeploy_monitor.probes import Target

log = structlog.get_logger()

BATCH = 500
MOST_WAITING = 20_000
_FLUSH_S = 0.1
_LOCK = rows.selecting(Watch, "WHERE instance_id = ANY(:instances) FOR UPDATE SKIP LOCKED", instances=ARRAY(Uuid))


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a probe of a target found."""

    target: Target
    probed: Probed


class ResultWriter:
    """Collects results and writes them at most a tenth of a second later."""

    def __init__(self, database: Database, patience: Patience) -> None:
        self._database = database
        self._patience = patience
        self._waiting: list[Result] = []
        self._arrived = Wakeup()
        self._began: datetime | None = None

    def add(self, result: Result) -> None:
        """Have a result written. While the database is away the oldest are dropped: newer ones follow within seconds."""
        self._waiting.append(result)
        del self._waiting[:-MOST_WAITING]
        self._arrived.set()

    async def run(self) -> None:
        """Write until cancelled; verdicts from before are not taken over."""
        self._began = utc_now()
        while True:
            await self._arrived.wait(60)
            await asyncio.sleep(_FLUSH_S)
            while self._waiting:
                await self.flush()

    async def flush(self) -> None:
        """Write one batch; when the database is away, or another took the locks first, the batch is dropped."""
        batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        try:
            async with self._database.transaction() as unit:
                await self._write(unit, {r.target.instance_id: r for r in batch})
        except Exception as error:
            if not is_outage(error):
                raise
            RESULTS_DISCARDED.labels("database").inc(len(batch))
            log.warning("probe_results.dropped", count=len(batch), error=type(error).__name__)
            await asyncio.sleep(1)

    async def _write(self, unit: UnitOfWork, results: dict[object, Result]) -> None:
        current: list[Watch] = []
        observations: list[Observation] = []
        for watch in await rows.select(unit.session, Watch, _LOCK, instances=list(results)):
            result = results[watch.instance_id]
            if watch.lifecycle_version != result.target.lifecycle_version or watch.next_probe_at is None:
                continue
            current.append(watch)
            observations.append(_observation(result))
            self._judge(unit, watch, result.probed)
        RESULTS_DISCARDED.labels("outdated").inc(len(results) - len(current))
        await rows.save(unit.session, *current)
        await rows.add_all(unit.session, observations)

    def _judge(self, unit: UnitOfWork, watch: Watch, probed: Probed) -> None:
        before = remembered(
            watches.health_of(watch),
            observed_at=watch.observed_at,
            now=probed.at,
            since=self._began,
            patience=self._patience,
        )
        health = judge(before, probed, started_at=watch.started_at, patience=self._patience)
        watches.say(unit, watch, health, at=probed.at)
        if probed.server_state in LOST_STATES and watch.operation_id is None:
            watches.drifted(unit, watch, observed=str(probed.server_state), detail=health.detail, at=probed.at)
        elif recovered(before, health):
            watch.drift = None


def recovered(before: Health, after: Health) -> bool:
    """Whether a probe has just found an instance well again."""
    return after.process is ProcessHealth.HEALTHY and before.process is not ProcessHealth.HEALTHY


def _observation(result: Result) -> Observation:
    target, probed = result.target, result.probed
    return Observation(
        instance_id=target.instance_id,
        account_id=target.account_id,
        lifecycle_version=target.lifecycle_version,
        observed_at=probed.at,
        alive=probed.alive,
        latency_ms=probed.latency_ms,
        detail=probed.detail,
        channel=probed.channel,
        server_state=probed.server_state,
    )

"""The loop that reads usage: claims keys that are due, asks OpenRouter, books what was read.

A claim is a lease: of several replicas one reads a key at a time. A reading is booked only under the lease it was made under, so a
runner that was paused cannot book a stale figure.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import text

from clawdeploy_billing import llm_keys, repository
from clawdeploy_billing.metrics import KEY_READINGS
from clawdeploy_billing.models import LlmKey
from clawdeploy_billing.openrouter import (
    LlmKeyNotFound,
    ManagementKeyRefused,
    OpenRouterAway,
    OpenRouterKeys,
    RateLimited,
    Reading,
)
from clawdeploy_billing.usage import next_reading
from clawdeploy_common import rows
from clawdeploy_common.clock import utc_now
from clawdeploy_common.database import Database
from clawdeploy_common.errors import ClawDeployError
from clawdeploy_common.work import UnitOfWork

log = structlog.get_logger()

BATCH = 200
LIST_FROM = 8
"""A list call takes the place of this many single readings: fewer keys are read one by one, and no more pages are asked for."""
_CONCURRENCY = 4
_LEASE = timedelta(seconds=60)
_MISSING_FACTOR = 10
_CLAIM = text(
    """
    UPDATE llm_keys SET lease_token = lease_token + 1, lease_until = clock_timestamp() + CAST(:lease AS interval)
    WHERE key_hash IN (SELECT key_hash FROM llm_keys
                       WHERE closed_at IS NULL AND next_read_at <= clock_timestamp()
                         AND (lease_until IS NULL OR lease_until < clock_timestamp())
                       ORDER BY next_read_at LIMIT :batch FOR UPDATE SKIP LOCKED)
    RETURNING key_hash, lease_token
    """
)

Outcome = Reading | ClawDeployError
Claims = Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often keys are read, and how long after its revocation a key's figure may still grow."""

    interval: timedelta
    grace: timedelta


class UsageReader:
    """Reads the keys that are due, for as long as the service runs."""

    def __init__(self, database: Database, keys: OpenRouterKeys, rhythm: Rhythm) -> None:
        self._database = database
        self._keys = keys
        self._rhythm = rhythm
        self._pause = 0.0

    async def run(self) -> None:
        """Read until cancelled."""
        idle = min(1.0, self._rhythm.interval.total_seconds() / 5)
        while True:
            worked = await self.round()
            await asyncio.sleep(max(self._pause, 0.0 if worked >= BATCH else idle))
            self._pause = 0.0

    async def round(self) -> int:
        """Read every key that is due, at most a batch; how many were claimed."""
        claims = await self._claim()
        if claims:
            outcomes = await self._read(list(claims))
            await self._book(claims, outcomes)
        return len(claims)

    async def _claim(self) -> Claims:
        async with self._database.connection() as connection:
            found = await connection.execute(_CLAIM, {"lease": _LEASE, "batch": BATCH})
            return {row.key_hash: row.lease_token for row in found}

    async def _read(self, hashes: Sequence[str]) -> dict[str, Outcome]:
        """An outcome for each key; few are read one by one, many from the list, and what the list lacks one by one again."""
        outcomes: dict[str, Outcome] = {}
        if len(hashes) >= LIST_FROM:
            try:
                outcomes.update(await self._listed(set(hashes)))
            except ClawDeployError as error:
                return dict.fromkeys(hashes, error)
        slots = asyncio.Semaphore(_CONCURRENCY)
        missing = [key_hash for key_hash in hashes if key_hash not in outcomes]
        single = await asyncio.gather(*(self._single(key_hash, slots) for key_hash in missing))
        return {**outcomes, **dict(zip(missing, single, strict=True))}

    async def _listed(self, wanted: set[str]) -> dict[str, Reading]:
        found: dict[str, Reading] = {}
        offset = 0
        for _ in range(len(wanted) // LIST_FROM):
            page = await self._keys.page(offset=offset)
            found.update({r.key_hash: r for r in page if r.key_hash in wanted})
            offset += len(page)
            if not page or len(found) == len(wanted):
                break
        return found

    async def _single(self, key_hash: str, slots: asyncio.Semaphore) -> Outcome:
        async with slots:
            try:
                return await self._keys.read(key_hash)
            except ClawDeployError as error:
                return error

    async def _book(self, claims: Claims, outcomes: Mapping[str, Outcome]) -> None:
        async with self._database.transaction() as unit:
            for key in await repository.lock_keys(unit.session, list(claims)):
                if key.lease_token != claims[key.key_hash] or key.closed_at is not None:
                    continue
                key.lease_until = None
                outcome = outcomes[key.key_hash]
                if isinstance(outcome, Reading):
                    await self._book_one(unit, key, outcome)
                else:
                    self._put_off(key, outcome)
                await rows.save(unit.session, key)
        failed = Counter(outcome.code for outcome in outcomes.values() if isinstance(outcome, ClawDeployError))
        if failed:
            log.warning("llm_keys.not_read", **failed)

    async def _book_one(self, unit: UnitOfWork, key: LlmKey, reading: Reading) -> None:
        found = await llm_keys.book_reading(unit, key, reading, grace=self._rhythm.grace)
        KEY_READINGS.labels(found.verdict).inc()
        key.next_read_at = self._next(key, utc_now())

    def _next(self, key: LlmKey, now: datetime) -> datetime:
        """When to read again: soon while the key spends, and for the last time when late figures have arrived."""
        due = next_reading(now, active_since=key.last_usage_at or key.minted_at, interval=self._rhythm.interval)
        last = now if key.revoked_at is None else key.revoked_at + self._rhythm.grace
        return min(due, last) if last > now else due

    def _put_off(self, key: LlmKey, error: ClawDeployError) -> None:
        """Nothing was read: the figure is cumulative, so a later reading loses nothing."""
        KEY_READINGS.labels(error.code).inc()
        match error:
            case LlmKeyNotFound() if key.revoked_at is not None:
                llm_keys.close(key, reason="deleted")
                return
            case LlmKeyNotFound():
                delay = self._rhythm.interval * _MISSING_FACTOR
            case RateLimited():
                delay = timedelta(seconds=error.retry_after)
                self._pause = max(self._pause, error.retry_after)
            case ManagementKeyRefused() | OpenRouterAway():
                delay = max(self._rhythm.interval, timedelta(seconds=5))
            case _:
                delay = self._rhythm.interval
        key.next_read_at = utc_now() + delay

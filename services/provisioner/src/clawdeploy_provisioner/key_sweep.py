"""The sweep over LLM keys: one that carries an instance's label and is not the recorded one is removed (law 7).

A runner that stood still while it minted can leave such a key: its successor minted another, and nobody knows the first.
"""

import asyncio
from uuid import NAMESPACE_OID, UUID, uuid5

import structlog
from sqlalchemy import text

from clawdeploy_common.database import Database
from clawdeploy_provisioner.llm_keys import instance_of
from clawdeploy_provisioner.openrouter import ListedKey, OpenRouterKeys
from clawdeploy_provisioner.orphans import Orphan, Orphans

log = structlog.get_logger()

_OURS = text("SELECT 1 FROM instances WHERE id = :instance")
_RECORDED = text(
    """
    SELECT 1 FROM llm_keys WHERE key_hash = :hash OR (name = :name AND (state = 'intended' OR EXISTS (
        SELECT 1 FROM cleanup_debts d WHERE d.resource_id = llm_keys.id AND d.settled_at IS NULL)))
    """
)


class KeySweep:
    """Of the keys of an OpenRouter account only those named after an instance of this platform are looked at."""

    def __init__(self, database: Database, keys: OpenRouterKeys, *, orphans: Orphans, seconds: float) -> None:
        self._database = database
        self._keys = keys
        self._orphans = orphans
        self._seconds = seconds

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self.round()
            except Exception as error:  # noqa: BLE001 - OpenRouter or the database is away: next time
                log.warning("key_sweep.failed", error=f"{type(error).__name__}: {error}")

    async def round(self) -> None:
        """Compare what OpenRouter lists with what is recorded; what is missing from the list proves nothing."""
        for key in await self._keys.list():
            instance_id = instance_of(key.name)
            if instance_id is not None and await self._is_ours(instance_id):
                await self._look_at(key)

    async def _look_at(self, key: ListedKey) -> None:
        orphan = Orphan(
            id=uuid5(NAMESPACE_OID, key.key_hash),
            resource="llm_key",
            provider="openrouter",
            provider_ref=key.key_hash,
        )

        async def recorded() -> bool:
            async with self._database.transaction() as unit:
                values = {"hash": key.key_hash, "name": key.name}
                return await unit.session.scalar(_RECORDED, values) is not None

        await self._orphans.deal_with(orphan, recorded=recorded, remove=lambda: self._keys.delete(key.key_hash))

    async def _is_ours(self, instance_id: UUID) -> bool:
        async with self._database.transaction() as unit:
            return await unit.session.scalar(_OURS, {"instance": instance_id}) is not None

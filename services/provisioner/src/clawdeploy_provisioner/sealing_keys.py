"""The keys that secrets are sealed to: made, announced, and let go when nothing is sealed to them any more (law 10)."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import LargeBinary, bindparam, text

from clawdeploy_common import sealing
from clawdeploy_common.database import Database
from clawdeploy_common.ids import new_id
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.lifecycle import SealingKeyAnnounced
from clawdeploy_provisioner.encryption import EncryptionKeys
from clawdeploy_provisioner.metrics import SEALING_KEYS_KEPT

log = structlog.get_logger()

KEY_PURPOSE = b"clawdeploy/sealing-key/v1"
_LOCK = text("SELECT pg_advisory_xact_lock(1936023657)")
_ADD = text(
    """
    INSERT INTO sealing_keys (id, public_key, private_key, created_at)
    VALUES (:id, :public, :private,
            greatest(clock_timestamp(), (SELECT max(created_at) + interval '1 microsecond' FROM sealing_keys)))
    RETURNING created_at
    """
).bindparams(bindparam("public", type_=LargeBinary), bindparam("private", type_=LargeBinary))
_YOUNG = text("SELECT 1 FROM sealing_keys WHERE created_at > clock_timestamp() - CAST(:age AS interval) LIMIT 1")
_ALL = text("SELECT id, public_key FROM sealing_keys ORDER BY created_at DESC, id DESC")
_PRIVATE = text("SELECT private_key FROM sealing_keys WHERE id = :id")
_NAMED = text("UPDATE sealing_keys SET retired_at = NULL WHERE id = :id AND retired_at IS NOT NULL")
_UNNAMED = text("UPDATE sealing_keys SET retired_at = coalesce(retired_at, clock_timestamp()) WHERE id = :id")
_COPIES = text("SELECT 1 FROM secret_copies WHERE sealing_key_id = :id LIMIT 1")
_DELETE = text(
    """
    DELETE FROM sealing_keys WHERE id = :id AND retired_at < clock_timestamp() - CAST(:grace AS interval)
      AND NOT EXISTS (SELECT 1 FROM secret_copies WHERE sealing_key_id = :id)
    RETURNING id
    """
)


@dataclass(frozen=True, kw_only=True)
class PublicKey:
    """What a secret is sealed to."""

    id: UUID
    public: bytes


class SealingKeys:
    """Key pairs in the database; the newest one is sealed to, each one opens."""

    def __init__(self, database: Database, keys: EncryptionKeys) -> None:
        self._database = database
        self._keys = keys

    async def renew(self, *, older_than: timedelta) -> UUID | None:
        """Announce a new key unless there is one younger than this; returns its id. Replicas take turns."""
        async with self._database.transaction() as unit:
            await unit.session.execute(_LOCK)
            if await unit.session.scalar(_YOUNG, {"age": older_than}) is not None:
                return None
            return await self._announce(unit)

    async def rotate(self) -> UUID:
        """Announce a new key now; returns its id."""
        async with self._database.transaction() as unit:
            await unit.session.execute(_LOCK)
            return await self._announce(unit)

    async def _announce(self, unit: UnitOfWork) -> UUID:
        key_id = new_id()
        private, public = sealing.generate_key_pair()
        stored = self._keys.encrypt(private, purpose=KEY_PURPOSE)
        at = await unit.session.scalar(_ADD, {"id": key_id, "public": public, "private": stored})
        # the gateway seals to the key announced last: by the same clock as ours
        unit.outbox.add(SealingKeyAnnounced(public_key=base64.b64encode(public).decode()), key=key_id, time=at)
        log.info("sealing_key.announced", key_id=str(key_id))
        return key_id

    async def all(self) -> Sequence[PublicKey]:
        """Every key there is, the newest first."""
        async with self._database.transaction() as unit:
            rows: Sequence[Any] = (await unit.session.execute(_ALL)).all()
        SEALING_KEYS_KEPT.set(len(rows))
        return [PublicKey(id=row.id, public=row.public_key) for row in rows]

    async def open(self, key_id: UUID, sealed: bytes, *, info: bytes) -> bytes:
        """What was sealed to one of the keys; raises SealBroken."""
        async with self._database.transaction() as unit:
            stored = await unit.session.scalar(_PRIVATE, {"id": key_id})
        if stored is None:
            raise sealing.SealBroken("a secret was sealed to a key that is not ours")
        return sealing.open_sealed(sealed, private_key=self._keys.decrypt(stored, purpose=KEY_PURPOSE), info=info)

    async def is_copied(self, key_id: UUID) -> bool:
        """Whether one of the provisioner's own copies is sealed to it."""
        async with self._database.transaction() as unit:
            return await unit.session.scalar(_COPIES, {"id": key_id}) is not None

    async def named(self, key_id: UUID) -> None:
        """Something is sealed to this key: it stays."""
        async with self._database.transaction() as unit:
            await unit.session.execute(_NAMED, {"id": key_id})

    async def unnamed(self, key_id: UUID, *, grace: timedelta) -> None:
        """Nothing is sealed to this key: it goes when that was so all through the grace, so that who just read it finishes."""
        async with self._database.transaction() as unit:
            await unit.session.execute(_UNNAMED, {"id": key_id})
            gone = await unit.session.scalar(_DELETE, {"id": key_id, "grace": grace})
        if gone is not None:
            log.info("sealing_key.deleted", key_id=str(key_id))

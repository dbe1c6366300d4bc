"""Kept states in the database: a data key for each, AES-256-GCM per chunk, bound to the state and the chunk's place in it."""

import os
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import LargeBinary, bindparam, text

from clawdeploy_common import sealing
from clawdeploy_common.ids import new_id
from clawdeploy_common.work import UnitOfWork
from clawdeploy_provisioner.encryption import EncryptionKeys
from clawdeploy_provisioner.operations.facts import OperationFacts

DATA_KEY_PURPOSE = b"clawdeploy/kept-state/v1"
_KEY_BYTES = 32

_FORGET = text("DELETE FROM kept_states WHERE instance_id = :id")
_BEGIN = text(
    "INSERT INTO kept_states (id, instance_id, account_id, operation_id, data_key) "
    "VALUES (:id, :instance, :account, :operation, :key)"
).bindparams(bindparam("key", type_=LargeBinary))
_ADD = text("INSERT INTO kept_state_chunks (state_id, number, sealed) VALUES (:id, :number, :sealed)").bindparams(
    bindparam("sealed", type_=LargeBinary)
)
_COMPLETE = text(
    """
    UPDATE kept_states SET chunks = :chunks, bytes = :bytes, sha256 = :sha256, held_by = :server,
           completed_at = clock_timestamp()
    WHERE id = :id
    """
)
_FIND = text(
    """
    SELECT k.* FROM kept_states k JOIN instances i ON i.id = k.instance_id
    WHERE k.instance_id = :id AND k.completed_at IS NOT NULL
      AND NOT (i.wanted = 'running' AND EXISTS (SELECT 1 FROM servers s WHERE s.id = k.held_by
               AND s.destroyed_at IS NULL AND s.abandoned_at IS NULL))
    """
)
"""Where a server holds it, and its agent may be running, that server knows more."""
_READ = text("SELECT sealed FROM kept_state_chunks WHERE state_id = :id AND number = :number")
_RESTORED = text("UPDATE kept_states SET held_by = :server WHERE id = :id")


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One kept state; ``key`` opens its chunks, ``saved_by`` is the operation. The last four are known once it is complete."""

    id: UUID
    saved_by: UUID
    key: bytes = field(repr=False)
    chunks: int = 0
    bytes: int = 0
    sha256: str = ""
    held_by: UUID | None = None


class KeptStates:
    """Everything happens in the caller's transactions: they are short, and fenced by the operation's lease."""

    def __init__(self, keys: EncryptionKeys) -> None:
        self._keys = keys

    async def begin(self, unit: UnitOfWork, operation: OperationFacts) -> Archive:
        """A new one, in the place of whatever an earlier attempt left."""
        await self.forget(unit, operation.instance_id)
        archive = Archive(id=new_id(), saved_by=operation.id, key=os.urandom(_KEY_BYTES))
        key = self._keys.encrypt(archive.key, purpose=DATA_KEY_PURPOSE)
        values = {"id": archive.id, "instance": operation.instance_id, "account": operation.account_id}
        await unit.session.execute(_BEGIN, {**values, "operation": operation.id, "key": key})
        return archive

    async def add(self, unit: UnitOfWork, archive: Archive, number: int, chunk: bytes) -> None:
        """Keep chunk ``number``, counted from 0."""
        sealed = sealing.encrypt_at_rest(chunk, key=archive.key, purpose=_place(archive.id, number))
        await unit.session.execute(_ADD, {"id": archive.id, "number": number, "sealed": sealed})

    async def complete(self, unit: UnitOfWork, archive: Archive, server_id: UUID) -> None:
        """All of it is there, and on the server it was read from."""
        values = {"id": archive.id, "chunks": archive.chunks, "bytes": archive.bytes, "sha256": archive.sha256}
        await unit.session.execute(_COMPLETE, {**values, "server": server_id})

    async def find(self, unit: UnitOfWork, instance_id: UUID) -> Archive | None:
        """The complete state kept for an instance, unless its server may know more by now; raises SealBroken."""
        row: Any = (await unit.session.execute(_FIND, {"id": instance_id})).one_or_none()
        if row is None:
            return None
        key = self._keys.decrypt(row.data_key, purpose=DATA_KEY_PURPOSE)
        return Archive(
            id=row.id,
            saved_by=row.operation_id,
            key=key,
            chunks=row.chunks,
            bytes=row.bytes,
            sha256=row.sha256,
            held_by=row.held_by,
        )

    async def read(self, unit: UnitOfWork, archive: Archive, number: int) -> bytes:
        """Chunk ``number``; raises SealBroken when it is not just what was kept there."""
        sealed = await unit.session.scalar(_READ, {"id": archive.id, "number": number})
        return sealing.decrypt_at_rest(sealed or b"", key=archive.key, purpose=_place(archive.id, number))

    async def restored(self, unit: UnitOfWork, archive: Archive, server_id: UUID) -> None:
        """A server has all of it now."""
        await unit.session.execute(_RESTORED, {"id": archive.id, "server": server_id})

    async def forget(self, unit: UnitOfWork, instance_id: UUID) -> None:
        """Delete what is kept for an instance, its chunks too."""
        await unit.session.execute(_FORGET, {"id": instance_id})


def _place(archive_id: UUID, number: int) -> bytes:
    return DATA_KEY_PURPOSE + f"|{archive_id}|{number}".encode()

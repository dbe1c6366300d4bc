"""Idempotency-Key: a request sent twice takes effect once and has one answer.

Scope: account, method, path, key. The answer is stored in the transaction of the effect; only answers of success are.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import LargeBinary, bindparam, text

from clawdeploy_api.errors import IdempotencyKeyReused, StillRunning
from clawdeploy_common.database import Database
from clawdeploy_common.work import UnitOfWork

KEPT = timedelta(days=7)
_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:scope, 0))")
_FIND = text(
    """
    SELECT body_hash, status, location, body FROM idempotency_keys
    WHERE account_id = :account AND method = :method AND route = :route AND key = :key
    """
)
_ADD = text(
    """
    INSERT INTO idempotency_keys (account_id, method, route, key, body_hash, status, location, body)
    VALUES (:account, :method, :route, :key, :body_hash, :status, :location, :body)
    """
).bindparams(bindparam("body_hash", type_=LargeBinary), bindparam("body", type_=LargeBinary))
_FORGET = text("DELETE FROM idempotency_keys WHERE created_at < clock_timestamp() - CAST(:kept AS interval)")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A success; ``stored`` is what a repetition gets when the first answer holds a secret shown once."""

    status: int
    body: BaseModel
    location: str | None = None
    stored: BaseModel | None = None


@dataclass(frozen=True, kw_only=True)
class StoredAnswer:
    """An answer as bytes, first or repeated."""

    status: int
    body: bytes
    location: str | None
    repeated: bool


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a key is unique in, and the fingerprint of the body it came with."""

    account_id: UUID
    method: str
    route: str
    key: str
    body_hash: bytes

    @property
    def name(self) -> str:
        """One string for the lock."""
        return f"{self.account_id} {self.method} {self.route} {self.key}"

    @property
    def columns(self) -> dict[str, object]:
        """The primary key."""
        return {"account": self.account_id, "method": self.method, "route": self.route, "key": self.key}


def fingerprint(body: bytes) -> bytes:
    """SHA-256 of a body as it came."""
    return hashlib.sha256(body).digest()


async def once(uow: UnitOfWork, scope: Scope | None, effect: Callable[[], Awaitable[Answer]]) -> StoredAnswer:
    """Run an effect unless its scope has an answer; raises StillRunning, IdempotencyKeyReused."""
    if scope is None:
        return first(await effect())
    if not await uow.session.scalar(_LOCK, {"scope": scope.name}):
        raise StillRunning
    if (before := await answered(uow, scope)) is not None:
        return before
    answer = await effect()
    await _keep(uow, scope, answer)
    return first(answer)


async def answered(uow: UnitOfWork, scope: Scope) -> StoredAnswer | None:
    """The answer a scope has already; raises IdempotencyKeyReused."""
    row = (await uow.session.execute(_FIND, scope.columns)).one_or_none()
    if row is None:
        return None
    if row.body_hash != scope.body_hash:
        raise IdempotencyKeyReused
    return StoredAnswer(status=row.status, body=row.body, location=row.location, repeated=True)


def first(answer: Answer) -> StoredAnswer:
    """The answer to who asked first."""
    body = answer.body.model_dump_json().encode()
    return StoredAnswer(status=answer.status, body=body, location=answer.location, repeated=False)


async def _keep(uow: UnitOfWork, scope: Scope, answer: Answer) -> None:
    body = (answer.stored or answer.body).model_dump_json().encode()
    values = {"body_hash": scope.body_hash, "status": answer.status, "location": answer.location, "body": body}
    await uow.session.execute(_ADD, {**scope.columns, **values})


async def forget_old(database: Database) -> None:
    """Delete what is older than seven days."""
    async with database.connection() as connection:
        await connection.execute(_FORGET, {"kept": KEPT})

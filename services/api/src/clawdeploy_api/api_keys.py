"""API keys: made once, shown once, kept as SHA-256."""

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import LargeBinary, Uuid, bindparam, text

from clawdeploy_common.database import Database
from clawdeploy_common.ids import new_id
from clawdeploy_common.work import UnitOfWork

CACHE_S = 3.0
_CACHE_SIZE = 10_000
_FIND = text(
    """
    SELECT k.id, k.key_hash, k.account_id, a.name, a.plan, a.role
    FROM api_keys k JOIN accounts a ON a.id = k.account_id WHERE k.key_hash = :hash
    """
).bindparams(bindparam("hash", type_=LargeBinary))
_ADD = text(
    "INSERT INTO api_keys (id, account_id, key_hash, label) VALUES (:id, :account, :hash, :label) ON CONFLICT (key_hash) DO NOTHING"
).bindparams(bindparam("id", type_=Uuid), bindparam("hash", type_=LargeBinary))
_REPLACE = text("DELETE FROM api_keys WHERE label = :label AND key_hash <> :hash").bindparams(
    bindparam("hash", type_=LargeBinary)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Who calls: an account, and the key it came with."""

    account_id: UUID
    key_id: UUID
    name: str
    plan: str
    role: str

    @property
    def is_operator(self) -> bool:
        """Whether the operators' routes are open."""
        return self.role in ("operator", "admin")


def new_key() -> str:
    """A key of 256 random bits."""
    return f"claw_{secrets.token_urlsafe(32)}"


def key_hash(key: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(key.encode()).digest()


async def add(uow: UnitOfWork, key: str, *, account_id: UUID, label: str) -> None:
    """Let a key in for an account."""
    values = {"id": new_id(), "account": account_id, "hash": key_hash(key), "label": label}
    await uow.session.execute(_ADD, values)


async def replace(uow: UnitOfWork, key: str, *, account_id: UUID, label: str) -> None:
    """Let a key in and any other one of this label out."""
    await uow.session.execute(_REPLACE, {"label": label, "hash": key_hash(key)})
    await add(uow, key, account_id=account_id, label=label)


class ApiKeys:
    """Looks keys up; what was found is remembered for three seconds, so that long a revoked key still opens."""

    def __init__(self, database: Database) -> None:
        self._pool = database.owner
        self._known: dict[bytes, tuple[float, Person]] = {}

    async def find(self, key: str) -> Person | None:
        """Whose key this is."""
        hashed = key_hash(key)
        known = self._known.get(hashed)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        person = await self._look_up(hashed)
        self._remember(hashed, person)
        return person

    def forget(self) -> None:
        """Trust nothing remembered, because keys changed."""
        self._known.clear()

    async def _look_up(self, hashed: bytes) -> Person | None:
        async with self._pool.autocommit() as connection:
            row = (await connection.execute(_FIND, {"hash": hashed})).one_or_none()
        if row is None or not hmac.compare_digest(row.key_hash, hashed):
            return None
        return Person(account_id=row.account_id, key_id=row.id, name=row.name, plan=row.plan, role=row.role)

    def _remember(self, hashed: bytes, person: Person | None) -> None:
        if len(self._known) >= _CACHE_SIZE:
            self._known.clear()
        if person is None:
            self._known.pop(hashed, None)
        else:
            self._known[hashed] = (time.monotonic() + CACHE_S, person)

"""API keys of the stand-in: minting, changing, and what each may still spend."""

import hashlib
import secrets
import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from clawdeploy_emulators.store import Store, stamp

PAGE = 100
LimitReset = Literal["daily", "weekly", "monthly"]
SELECT = """
SELECT k.*, MAX(g.created_at) AS last_used_at, COALESCE(SUM(g.cost_nanos), 0) AS usage_nanos,
    COALESCE(SUM(g.cost_nanos) FILTER (WHERE g.created_at >= :day), 0) AS daily_nanos,
    COALESCE(SUM(g.cost_nanos) FILTER (WHERE g.created_at >= :week), 0) AS weekly_nanos,
    COALESCE(SUM(g.cost_nanos) FILTER (WHERE g.created_at >= :month), 0) AS monthly_nanos
FROM keys k LEFT JOIN generations g ON g.key_hash = k.hash
WHERE k.deleted_at IS NULL
"""


def key_hash(key: str) -> str:
    """The public name of a key: lower-case hexadecimal SHA-256 of the whole string (OpenRouter's OAuth guide)."""
    return hashlib.sha256(key.encode()).hexdigest()


def key_label(key: str) -> str:
    """What a list shows of a key: `sk-or-v1-d35...55d`."""
    return f"{key[:12]}...{key[-3:]}"


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key as it stands now; amounts are nano-dollars, moments are UTC text."""

    hash: str
    name: str
    label: str
    disabled: bool
    limit_nanos: int | None
    limit_reset: LimitReset | None
    include_byok_in_limit: bool
    expires_at: str | None
    creator_user_id: str | None
    external_user: str | None = None
    created_at: str
    updated_at: str | None
    last_used_at: str | None = None
    usage_nanos: int = 0
    daily_nanos: int = 0
    weekly_nanos: int = 0
    monthly_nanos: int = 0

    @property
    def spent_nanos(self) -> int:
        """What counts against the limit: the current window's spending, or all of it when the limit never resets."""
        windows = {"daily": self.daily_nanos, "weekly": self.weekly_nanos, "monthly": self.monthly_nanos}
        return self.usage_nanos if self.limit_reset is None else windows[self.limit_reset]

    @property
    def remaining_nanos(self) -> int | None:
        """What the key may still spend in the current window; None without a limit, never below zero."""
        return None if self.limit_nanos is None else max(0, self.limit_nanos - self.spent_nanos)

    def expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= stamp(now)


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """What a caller chooses of a new key."""

    name: str
    limit_nanos: int | None = None
    limit_reset: LimitReset | None = None
    include_byok_in_limit: bool = False
    expires_at: datetime | None = None
    creator_user_id: str | None = None
    external_user: str | None = None


def window_starts(now: datetime) -> dict[str, str]:
    """When the current day, week (Monday) and month began, in UTC."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    week = day - timedelta(days=day.weekday())
    return {"day": stamp(day), "week": stamp(week), "month": stamp(day.replace(day=1))}


def window_end(reset: LimitReset | None, now: datetime) -> datetime | None:
    """When the current window ends; None for a limit that never resets."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    match reset:
        case "daily":
            return day + timedelta(days=1)
        case "weekly":
            return day + timedelta(days=7 - day.weekday())
        case "monthly":
            return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        case None:
            return None


class Keys:
    """The keys of the one account."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, new: NewKey, *, now: datetime) -> tuple[Key, str]:
        """Mint a key; the string is returned here and stored nowhere."""
        secret = f"sk-or-v1-{secrets.token_hex(32)}"
        row: dict[str, Any] = {
            "hash": key_hash(secret),
            "name": new.name,
            "label": key_label(secret),
            "limit_nanos": new.limit_nanos,
            "limit_reset": new.limit_reset,
            "include_byok_in_limit": int(new.include_byok_in_limit),
            "expires_at": stamp(new.expires_at) if new.expires_at else None,
            "creator_user_id": new.creator_user_id,
            "external_user": new.external_user,
            "created_at": stamp(now),
        }
        names = ", ".join(row)
        marks = ", ".join(f":{name}" for name in row)
        with self._store.transaction() as connection:
            connection.execute(f"INSERT INTO keys ({names}) VALUES ({marks})", row)  # noqa: S608  names are ours
            return _one(connection, row["hash"], now=now), secret

    def find(self, hash_: str, *, now: datetime) -> Key | None:
        """The key with this hash, or None when there is none or it was deleted."""
        with self._store.transaction() as connection:
            return _find(connection, hash_, now=now)

    def page(self, *, offset: int, include_disabled: bool, include_expired: bool, now: datetime) -> list[Key]:
        """Up to 100 keys, the newest first."""
        shown = "" if include_disabled else " AND k.disabled = 0"
        shown += "" if include_expired else " AND (k.expires_at IS NULL OR k.expires_at > :now)"
        order = " GROUP BY k.hash ORDER BY k.created_at DESC, k.rowid DESC LIMIT :page OFFSET :offset"
        values = {**window_starts(now), "now": stamp(now), "page": PAGE, "offset": offset}
        with self._store.transaction() as connection:
            return [_key(row) for row in connection.execute(SELECT + shown + order, values)]

    def update(self, hash_: str, changes: dict[str, Any], *, now: datetime) -> Key | None:
        """Set the given columns; None when there is no such key."""
        values = {**changes, "updated_at": stamp(now), "hash": hash_}
        sets = ", ".join(f"{name} = :{name}" for name in values if name != "hash")
        with self._store.transaction() as connection:
            if _find(connection, hash_, now=now) is None:
                return None
            connection.execute(f"UPDATE keys SET {sets} WHERE hash = :hash", values)  # noqa: S608  names are ours
            return _one(connection, hash_, now=now)

    def delete(self, hash_: str, *, now: datetime) -> bool:
        """Delete a key for good; what it spent stays in the ledger. False when there is no such key."""
        with self._store.transaction() as connection:
            done = connection.execute(
                "UPDATE keys SET deleted_at = ? WHERE hash = ? AND deleted_at IS NULL", (stamp(now), hash_)
            )
            return done.rowcount == 1


def _find(connection: sqlite3.Connection, hash_: str, *, now: datetime) -> Key | None:
    values = {**window_starts(now), "hash": hash_}
    row: sqlite3.Row | None = connection.execute(SELECT + " AND k.hash = :hash GROUP BY k.hash", values).fetchone()
    return None if row is None else _key(row)


def _one(connection: sqlite3.Connection, hash_: str, *, now: datetime) -> Key:
    key = _find(connection, hash_, now=now)
    if key is None:  # written in this very transaction
        raise LookupError(hash_)
    return key


def _key(row: sqlite3.Row) -> Key:
    values: dict[str, Any] = dict(row)
    values.pop("deleted_at")
    values["disabled"] = bool(values["disabled"])
    values["include_byok_in_limit"] = bool(values["include_byok_in_limit"])
    return Key(**values)

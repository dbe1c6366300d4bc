"""What was generated and what it cost: the source of every usage figure the stand-in gives."""

import secrets
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any

from clawdeploy_emulators.store import Store

ACTIVITY_DAYS = 30
ACTIVITY = """
SELECT substr(created_at, 1, 10) AS day, model, SUM(cost_nanos) AS cost_nanos, COUNT(*) AS requests,
    SUM(prompt_tokens) AS prompt_tokens, SUM(cached_tokens) AS cached_tokens,
    SUM(completion_tokens) AS completion_tokens
FROM generations
WHERE created_at >= :since AND created_at < :until AND (:key_hash IS NULL OR key_hash = :key_hash)
GROUP BY day, model ORDER BY day DESC, model
"""
BILLED = """
SELECT k.hash, k.name, k.deleted_at IS NOT NULL AS deleted, COUNT(g.id) AS requests,
    COALESCE(SUM(g.prompt_tokens), 0) AS prompt_tokens, COALESCE(SUM(g.cached_tokens), 0) AS cached_tokens,
    COALESCE(SUM(g.completion_tokens), 0) AS completion_tokens, COALESCE(SUM(g.cost_nanos), 0) AS cost_nanos
FROM keys k LEFT JOIN generations g ON g.key_hash = k.hash
GROUP BY k.hash ORDER BY k.created_at, k.rowid
"""


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One call that was answered; the cost is nano-dollars, the moment UTC text."""

    id: str
    key_hash: str
    created_at: str
    model: str
    streamed: bool
    finish_reason: str
    external_user: str | None
    user_agent: str | None
    http_referer: str | None
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost_nanos: int


@dataclass(frozen=True, kw_only=True)
class Activity:
    """Calls of one model on one UTC day."""

    day: str
    model: str
    cost_nanos: int
    requests: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


@dataclass(frozen=True, kw_only=True)
class Billed:
    """Everything one key was ever billed; a deleted key keeps its line."""

    hash: str
    name: str
    deleted: bool
    requests: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost_nanos: int


def new_generation_id(now: datetime) -> str:
    """`gen-` with the second it was made and 20 random characters."""
    return f"gen-{int(now.timestamp())}-{secrets.token_hex(10)}"


class Ledger:
    """Generations, added once and never changed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(self, generation: Generation) -> None:
        """Add one generation; its identifier must be new."""
        names = [field.name for field in fields(generation)]
        marks = ", ".join(f":{name}" for name in names)
        insert = f"INSERT INTO generations ({', '.join(names)}) VALUES ({marks})"  # noqa: S608  names are ours
        with self._store.transaction() as connection:
            connection.execute(insert, asdict(generation))

    def find(self, generation_id: str) -> Generation | None:
        """The generation with this identifier."""
        with self._store.transaction() as connection:
            row = connection.execute("SELECT * FROM generations WHERE id = ?", (generation_id,)).fetchone()
        if row is None:
            return None
        values: dict[str, Any] = dict(row)
        values["streamed"] = bool(values["streamed"])
        return Generation(**values)

    def total_nanos(self) -> int:
        """What the account spent in all."""
        with self._store.transaction() as connection:
            total: int = connection.execute("SELECT COALESCE(SUM(cost_nanos), 0) FROM generations").fetchone()[0]
        return total

    def activity(self, *, key_hash: str | None, first: date, last: date) -> list[Activity]:
        """Calls per UTC day and model, the newest day first, from the first day to the last, both included."""
        values = {
            "since": first.isoformat(),
            "until": (last + timedelta(days=1)).isoformat(),
            "key_hash": key_hash,
        }
        with self._store.transaction() as connection:
            return [Activity(**dict(row)) for row in connection.execute(ACTIVITY, values)]

    def billed(self) -> list[Billed]:
        """What each key was ever billed, in the order they were made."""
        with self._store.transaction() as connection:
            return [_billed(dict(row)) for row in connection.execute(BILLED)]


def _billed(values: dict[str, Any]) -> Billed:
    values["deleted"] = bool(values["deleted"])
    return Billed(**values)

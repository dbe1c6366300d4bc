"""Parked events: what could not be applied waits in the database, and only its own key waits with it (law 3)."""

import hashlib
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, LargeBinary, Text, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from clawdeploy_common import progress
from clawdeploy_common.errors import PermanentError, TemporaryError
from clawdeploy_common.events import Position
from clawdeploy_common.handlers import Kind
from clawdeploy_common.ids import named_id, new_id
from clawdeploy_common.records import Record
from clawdeploy_common.session import Session

Reason = Literal["gap", "behind", "failed", "permanent", "unreadable"]

MAX_ATTEMPTS = 8

_VERSIONS = text(
    """
    SELECT p.kind, p.source, p.key, p.version, p.state FROM unnest(:sources, :keys) AS i(source, key)
    CROSS JOIN LATERAL
        (SELECT * FROM parked_events p WHERE p.kind = ANY(:kinds) AND p.source = i.source AND p.key = i.key OFFSET 0) AS p
    """
).bindparams(
    bindparam("kinds", type_=ARRAY(Text)), bindparam("sources", type_=ARRAY(Text)), bindparam("keys", type_=ARRAY(Uuid))
)
_PARK = text(
    """
    INSERT INTO parked_events (id, kind, source, topic, partition, "offset", key, version, type, account_id, headers, payload, reason,
                               error, attempts, state, retry_at)
    VALUES (:id, :kind, :source, :topic, :partition, :offset, :key, :version, :type, :account_id, :headers, :payload, :reason,
            :error, :attempts, :state, clock_timestamp() + CAST(:delay AS interval))
    ON CONFLICT DO NOTHING
    """
).bindparams(
    bindparam("id", type_=Uuid),
    bindparam("key", type_=Uuid),
    bindparam("account_id", type_=Uuid),
    bindparam("headers", type_=JSONB),
    bindparam("payload", type_=LargeBinary),
)
_DUE = text(
    """
    SELECT DISTINCT ON (source, key) source, key FROM parked_events
    WHERE kind = :kind AND state = 'parked' AND key IS NOT NULL AND retry_at <= clock_timestamp()
    ORDER BY source, key LIMIT 100
    """
)
_HEAD = text(
    """
    SELECT *, retry_at > clock_timestamp() AS waits FROM parked_events
    WHERE kind = :kind AND source = :source AND key = :key AND version > :last ORDER BY version LIMIT 1 FOR UPDATE
    """
)
_FORGET_APPLIED = text(
    "DELETE FROM parked_events WHERE kind = :kind AND source = :source AND key = :key AND version <= :last AND state <> 'dropped'"
)
_FAILED = text(
    """
    UPDATE parked_events SET reason = :reason, error = :error, attempts = attempts + 1, state = :state,
           retry_at = clock_timestamp() + CAST(:delay AS interval)
    WHERE id = :id
    """
)
_WAKE_NEXT = text(
    """
    UPDATE parked_events SET retry_at = clock_timestamp()
    WHERE id = (SELECT id FROM parked_events
                WHERE kind = :kind AND source = :source AND key = :key AND version > :version AND state = 'parked'
                ORDER BY version LIMIT 1)
    """
)
_HUSH = text(
    """
    UPDATE parked_events SET retry_at = NULL
    WHERE kind = :kind AND source = :source AND key = :key AND version > :version AND state = 'parked' AND retry_at IS NOT NULL
    """
)
_POSTPONE = text("UPDATE parked_events SET retry_at = clock_timestamp() + CAST(:delay AS interval) WHERE id = :id")
_DELETE = text("DELETE FROM parked_events WHERE id = :id")

GAP_RECHECK = timedelta(seconds=2)
_TIME = DateTime(timezone=True)


Parked = dict[tuple[Position, int], str]


async def versions(session: Session, kinds: Collection[Kind], positions: Collection[Position]) -> dict[Kind, Parked]:
    """Which versions of these keys are parked, with their state."""
    found: dict[Kind, Parked] = {kind: {} for kind in kinds}
    values = {"kinds": list(kinds), **progress.columns(positions)}
    for kind, source, key, version, state in await session.execute(_VERSIONS, values):
        found[kind][(source, key), version] = state
    return found


async def park(
    session: Session, kind: Kind, record: Record, *, reason: Reason, error: BaseException | None = None
) -> None:
    """Store a record as it came; a failed one is tried again later, a permanent or unreadable one waits for an operator."""
    envelope = record.envelope
    dead = reason in ("permanent", "unreadable")
    await session.execute(
        _PARK,
        {
            "id": new_id() if envelope else _id_of_unplaceable(kind, record),
            "kind": kind,
            "source": envelope.source if envelope else "",
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "key": envelope.key if envelope else None,
            "version": envelope.version if envelope else None,
            "type": (envelope.type or None) if envelope else None,
            "account_id": envelope.account_id if envelope else None,
            "headers": record.headers_as_json(),
            "payload": record.payload,
            "reason": reason,
            "error": describe(error) if error else storable(record.defect or ""),
            "attempts": 1 if reason == "failed" else 0,
            "state": "dead" if dead else "parked",
            "delay": None if reason == "behind" or dead else backoff(1, error),
        },
    )


async def due(session: Session, kind: Kind) -> Sequence[Position]:
    """Keys that have a parked event whose time has come."""
    return [(row.source, row.key) for row in await session.execute(_DUE, {"kind": kind})]


async def head(session: Session, kind: Kind, position: Position, *, last: int) -> Any | None:
    """The first row of a key above the last applied version, locked; rows that were applied meanwhile are forgotten."""
    source, key = position
    values = {"kind": kind, "source": source, "key": key, "last": last}
    await session.execute(_FORGET_APPLIED, values)
    return (await session.execute(_HEAD, values)).one_or_none()


async def failed(session: Session, row: Any, error: BaseException) -> None:
    """Note a failed attempt: postpone it, or make it a dead letter when attempts are exhausted or the error is permanent."""
    permanent = isinstance(error, PermanentError)
    dead = permanent or row.attempts + 1 >= MAX_ATTEMPTS
    values = {
        "id": row.id,
        "reason": "permanent" if permanent else "failed",
        "error": describe(error),
        "state": "dead" if dead else "parked",
        "delay": backoff(row.attempts + 1, error),
    }
    await session.execute(_FAILED, values)


async def postpone(session: Session, row: Any, delay: timedelta) -> None:
    """Look at a row again later, without counting an attempt."""
    await session.execute(_POSTPONE, {"id": row.id, "delay": delay})


async def remove(session: Session, row: Any) -> None:
    """Forget a row that was applied, and let the one behind it be due: it must not be left behind if we stop here."""
    await session.execute(_DELETE, {"id": row.id})
    await wake(session, row.kind, (row.source, row.key), after=row.version)


async def wake(session: Session, kind: Kind, position: Position, *, after: int) -> None:
    """Make the first parked event of a key above a version due now."""
    source, key = position
    await session.execute(_WAKE_NEXT, {"kind": kind, "source": source, "key": key, "version": after})


async def advance_over_dropped(session: Session, kind: Kind, position: Position) -> None:
    """Count dropped events that are a key's next as done, and let the one after them be due."""
    last = (await progress.lock(session, [kind], [position]))[kind][position]
    states = (await versions(session, [kind], [position]))[kind]
    version = last
    while states.get((position, version + 1)) == "dropped":
        version += 1
    if version > last:
        await progress.write(session, {kind: {position: version}})
        await wake(session, kind, position, after=version)


async def hush(session: Session, row: Any) -> None:
    """What is behind a row that cannot be applied yet is not looked at until its turn comes."""
    await session.execute(_HUSH, {"kind": row.kind, "source": row.source, "key": row.key, "version": row.version})


def backoff(attempts: int, error: BaseException | None) -> timedelta:
    """Delay before the next attempt: doubles from the error's ``retry_after`` (or 1 s), at most five minutes."""
    base = error.retry_after if isinstance(error, TemporaryError) else 1.0
    return timedelta(seconds=min(300.0, base * 2 ** (attempts - 1)))


def describe(error: BaseException) -> str:
    """An error for an operator's eyes: its class and its first line (statements and parameters are left out)."""
    lines = str(error).splitlines()
    return storable(f"{type(error).__name__}: {lines[0] if lines else ''}"[:500])


def storable(text: str) -> str:
    """A text as PostgreSQL takes it: no NUL, no lone surrogate."""
    return text.replace("\x00", "").encode(errors="replace").decode()


def _id_of_unplaceable(kind: Kind, record: Record) -> UUID:
    """The same record read again is the same dead letter: nothing but its bytes and its place in the log tells it apart."""
    content = hashlib.sha256(repr((record.headers, record.payload)).encode(errors="replace")).hexdigest()
    return named_id(f"clawdeploy/parked/{kind}/{record.topic}/{record.partition}/{record.offset}/{content}")

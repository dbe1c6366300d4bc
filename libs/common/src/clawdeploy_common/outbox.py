"""The transactional outbox: an event is a row in the transaction that changes state (law 1).

Versions are drawn for all touched streams in one statement with sorted keys: drawn one by one, two writers deadlock.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, DateTime, LargeBinary, Text, Uuid, bindparam, text

from clawdeploy_common.clock import utc_now
from clawdeploy_common.errors import EventTooLarge
from clawdeploy_common.events import MAX_EVENT_BYTES, Envelope, Event, encode
from clawdeploy_common.ids import new_id
from clawdeploy_common.session import Session
from clawdeploy_common.tracing import current_traceparent

_TIME = DateTime(timezone=True)
_INSERT = text(
    """
    WITH input AS MATERIALIZED (
        SELECT * FROM unnest(:keys, :ranks, :totals, :ids, :types, :times, :accounts, :correlations, :causations, :traces, :payloads)
            WITH ORDINALITY
            AS i(key, rank, total, event_id, type, time, account_id, correlation_id, causation_id, traceparent, data, ordinal)
    ), drawn AS (
        INSERT INTO streams AS s (key, version)
        SELECT DISTINCT key, total FROM input ORDER BY key
        ON CONFLICT (key) DO UPDATE SET version = s.version + excluded.version
        RETURNING s.key, s.version
    )
    INSERT INTO outbox (event_id, key, version, type, time, account_id, correlation_id, causation_id, traceparent, data)
    SELECT i.event_id, i.key, d.version - i.total + i.rank, i.type, i.time, i.account_id, i.correlation_id, i.causation_id,
           i.traceparent, i.data
    FROM input i JOIN drawn d ON d.key = i.key
    ORDER BY i.ordinal
    """
).bindparams(
    bindparam("keys", type_=ARRAY(Uuid)),
    bindparam("ranks", type_=ARRAY(BigInteger)),
    bindparam("totals", type_=ARRAY(BigInteger)),
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("types", type_=ARRAY(Text)),
    bindparam("times", type_=ARRAY(_TIME)),
    bindparam("accounts", type_=ARRAY(Uuid)),
    bindparam("correlations", type_=ARRAY(Uuid)),
    bindparam("causations", type_=ARRAY(Uuid)),
    bindparam("traces", type_=ARRAY(Text)),
    bindparam("payloads", type_=ARRAY(LargeBinary)),
)


@dataclass(frozen=True, slots=True)
class _Pending:
    key: UUID
    event_id: UUID
    event_type: str
    time: datetime
    account_id: UUID | None
    correlation_id: UUID | None
    causation_id: UUID | None
    traceparent: str | None
    payload: bytes


class Outbox:
    """Events of one transaction, buffered until just before its commit."""

    def __init__(
        self, session: Session, *, cause: Envelope | None = None, pending: list[_Pending] | None = None
    ) -> None:
        self._session = session
        self._cause = cause
        self._pending: list[_Pending] = [] if pending is None else pending
        self.flushed = 0

    def caused_by(self, cause: Envelope) -> "Outbox":
        """The same buffer, for events that ``cause`` led to."""
        return Outbox(self._session, cause=cause, pending=self._pending)

    def add(
        self,
        event: Event,
        *,
        key: UUID,
        account_id: UUID | None = None,
        correlation_id: UUID | None = None,
        time: datetime | None = None,
    ) -> UUID:
        """Add an event to its aggregate's stream and return its id.

        ``key`` is the id of the aggregate, ``correlation_id`` the operation it belongs to (taken from the causing event when not
        given). Raises EventTooLarge above 256 KiB.
        """
        payload = encode(event)
        if len(payload) > MAX_EVENT_BYTES:
            raise EventTooLarge(f"{event.event_type} has {len(payload)} bytes, allowed are {MAX_EVENT_BYTES}")
        cause = self._cause
        pending = _Pending(
            key=key,
            event_id=new_id(),
            event_type=event.event_type,
            time=time or utc_now(),
            account_id=account_id or (cause.account_id if cause else None),
            correlation_id=correlation_id or (cause.correlation_id if cause else None),
            causation_id=cause.id if cause else None,
            traceparent=current_traceparent() or (cause.traceparent if cause else None),
            payload=payload,
        )
        self._pending.append(pending)
        return pending.event_id

    async def flush(self) -> None:
        """Draw versions and write the rows; the streams stay locked until the transaction ends."""
        if not self._pending:
            return
        pending = self._pending.copy()
        self._pending.clear()
        await self._session.execute(_INSERT, _columns(pending))
        self.flushed += len(pending)

    def discard(self) -> None:
        """Forget buffered events, when the savepoint they belong to was rolled back."""
        self._pending.clear()


def _columns(pending: list[_Pending]) -> dict[str, object]:
    totals = Counter(p.key for p in pending)
    seen: Counter[UUID] = Counter()
    ranks: list[int] = []
    for p in pending:
        seen[p.key] += 1
        ranks.append(seen[p.key])
    return {
        "keys": [p.key for p in pending],
        "ranks": ranks,
        "totals": [totals[p.key] for p in pending],
        "ids": [p.event_id for p in pending],
        "types": [p.event_type for p in pending],
        "times": [p.time for p in pending],
        "accounts": [p.account_id for p in pending],
        "correlations": [p.correlation_id for p in pending],
        "causations": [p.causation_id for p in pending],
        "traces": [p.traceparent for p in pending],
        "payloads": [p.payload for p in pending],
    }

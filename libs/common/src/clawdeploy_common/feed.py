"""Per-account event feed: every event of an account gets the account's next position in the transaction that records it.

A bigserial or a timestamp would lose rows that commit late; a counter per account cannot.
"""

from collections import Counter
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    bindparam,
    text,
)

from clawdeploy_common.events import Envelope
from clawdeploy_common.session import Session
from clawdeploy_common.tables import OWNED

_TIME = DateTime(timezone=True)
_INSERT = text(
    """
    WITH input AS MATERIALIZED (
        SELECT * FROM unnest(:accounts, :ranks, :totals, :ids, :sources, :types, :keys, :versions, :times, :correlations, :internals,
            :payloads) AS i(account_id, rank, total, event_id, source, type, key, version, time, correlation_id, internal, data)
    ), drawn AS (
        INSERT INTO account_feed_positions AS p (account_id, position)
        SELECT DISTINCT account_id, total FROM input ORDER BY account_id
        ON CONFLICT (account_id) DO UPDATE SET position = p.position + excluded.position
        RETURNING p.account_id, p.position
    )
    INSERT INTO account_feed (account_id, position, event_id, source, type, key, version, time, correlation_id, internal, data)
    SELECT i.account_id, d.position - i.total + i.rank, i.event_id, i.source, i.type, i.key, i.version, i.time, i.correlation_id,
           i.internal, i.data
    FROM input i JOIN drawn d USING (account_id)
    """
).bindparams(
    bindparam("accounts", type_=ARRAY(Uuid)),
    bindparam("ranks", type_=ARRAY(BigInteger)),
    bindparam("totals", type_=ARRAY(BigInteger)),
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("sources", type_=ARRAY(Text)),
    bindparam("types", type_=ARRAY(Text)),
    bindparam("keys", type_=ARRAY(Uuid)),
    bindparam("versions", type_=ARRAY(BigInteger)),
    bindparam("times", type_=ARRAY(_TIME)),
    bindparam("correlations", type_=ARRAY(Uuid)),
    bindparam("internals", type_=ARRAY(Boolean)),
    bindparam("payloads", type_=ARRAY(LargeBinary)),
)


def add_feed_tables(metadata: MetaData) -> tuple[Table, Table]:
    """Declare the feed's tables in the metadata of the service that keeps it; returns (positions, feed)."""
    positions = Table(
        "account_feed_positions",
        metadata,
        Column("account_id", Uuid, primary_key=True),
        Column("position", BigInteger, nullable=False),
        info=OWNED,
    )
    feed = Table(
        "account_feed",
        metadata,
        Column("account_id", Uuid, primary_key=True),
        Column("position", BigInteger, primary_key=True),
        Column("event_id", Uuid, nullable=False, unique=True),
        Column("source", Text, nullable=False),
        Column("type", Text, nullable=False),
        Column("key", Uuid, nullable=False, index=True),
        Column("version", BigInteger, nullable=False),
        Column("time", _TIME, nullable=False),
        Column("correlation_id", Uuid),
        Column("internal", Boolean, nullable=False),
        Column("data", LargeBinary, nullable=False),
        info=OWNED,
    )
    return positions, feed


class FeedWriter:
    """Feed entries of one transaction, buffered until just before its commit."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._pending: list[tuple[UUID, Envelope, bool]] = []
        self.grown: set[UUID] = set()

    def add(self, envelope: Envelope, *, account_id: UUID, internal: bool) -> None:
        """Append an event to its account's feed; ``internal`` ones are shown on the live stream only."""
        self._pending.append((account_id, envelope, internal))

    async def flush(self) -> None:
        """Draw the positions and write the rows; the accounts' counters stay locked until the transaction ends."""
        if self._pending:
            pending, self._pending = self._pending, []
            await self._session.execute(_INSERT, _columns(pending))
            self.grown.update(account_id for account_id, _, _ in pending)

    def discard(self) -> None:
        """Forget buffered entries, when the savepoint they belong to was rolled back."""
        self._pending.clear()


def _columns(pending: list[tuple[UUID, Envelope, bool]]) -> dict[str, object]:
    totals = Counter(account for account, _, _ in pending)
    seen: Counter[UUID] = Counter()
    ranks: list[int] = []
    for account, _, _ in pending:
        seen[account] += 1
        ranks.append(seen[account])
    envelopes = [envelope for _, envelope, _ in pending]
    return {
        "accounts": [account for account, _, _ in pending],
        "ranks": ranks,
        "totals": [totals[account] for account, _, _ in pending],
        "ids": [e.id for e in envelopes],
        "sources": [e.source for e in envelopes],
        "types": [e.type for e in envelopes],
        "keys": [e.key for e in envelopes],
        "versions": [e.version for e in envelopes],
        "times": [e.time for e in envelopes],
        "correlations": [e.correlation_id for e in envelopes],
        "internals": [internal for _, _, internal in pending],
        "payloads": [e.data for e in envelopes],
    }

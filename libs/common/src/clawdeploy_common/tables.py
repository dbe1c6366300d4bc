"""Tables every service's schema holds, and the mark that says whether a table is owned or a projection.

``owned`` tables are the only copy of their facts; ``projection`` tables can be thrown away and built again from the log (law 4).
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

OWNED: dict[str, Any] = {"kind": "owned"}
PROJECTION: dict[str, Any] = {"kind": "projection"}

_TIME = DateTime(timezone=True)


@dataclass(frozen=True)
class CommonTables:
    """The machinery's tables within one service's metadata."""

    streams: Table
    outbox: Table
    relay_state: Table
    relay_offsets: Table
    progress: Table
    consumed_epochs: Table
    parked_events: Table
    jobs: Table


def add_common_tables(metadata: MetaData) -> CommonTables:
    """Declare the machinery's tables in a service's metadata."""
    return CommonTables(
        streams=_streams(metadata),
        outbox=_outbox(metadata),
        relay_state=_relay_state(metadata),
        relay_offsets=_relay_offsets(metadata),
        progress=_progress(metadata),
        consumed_epochs=_consumed_epochs(metadata),
        parked_events=_parked_events(metadata),
        jobs=_jobs(metadata),
    )


def projections_of(metadata: MetaData) -> list[Table]:
    """The tables a replay empties, children before parents."""
    return [table for table in reversed(metadata.sorted_tables) if table.info.get("kind") == "projection"]


def _streams(metadata: MetaData) -> Table:
    return Table(
        "streams",
        metadata,
        Column("key", Uuid, primary_key=True),
        Column("version", BigInteger, nullable=False),
        info=OWNED,
    )


def _outbox(metadata: MetaData) -> Table:
    return Table(
        "outbox",
        metadata,
        Column("id", BigInteger, Identity(always=True), primary_key=True),
        Column("event_id", Uuid, nullable=False, unique=True),
        Column("key", Uuid, nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("type", Text, nullable=False),
        Column("time", _TIME, nullable=False),
        Column("account_id", Uuid),
        Column("correlation_id", Uuid),
        Column("causation_id", Uuid),
        Column("traceparent", Text),
        Column("data", LargeBinary, nullable=False),
        Column("published_at", _TIME),
        UniqueConstraint("key", "version", name="outbox_key_version_key"),
        Index("outbox_unpublished_idx", "id", postgresql_where=text("published_at IS NULL")),
        info=OWNED,
    )


def _relay_state(metadata: MetaData) -> Table:
    return Table(
        "relay_state",
        metadata,
        Column("singleton", SmallInteger, primary_key=True, server_default=text("1"), autoincrement=False),
        Column("log_epoch", Integer, nullable=False, server_default=text("0")),
        CheckConstraint("singleton = 1", name="relay_state_singleton_check"),
        info=OWNED,
    )


def _relay_offsets(metadata: MetaData) -> Table:
    return Table(
        "relay_offsets",
        metadata,
        Column("partition", Integer, primary_key=True, autoincrement=False),
        Column("acknowledged_offset", BigInteger, nullable=False),
        info=OWNED,
    )


def _progress(metadata: MetaData) -> Table:
    return Table(
        "progress",
        metadata,
        Column("kind", Text, primary_key=True),
        Column("source", Text, primary_key=True),
        Column("key", Uuid, primary_key=True),
        Column("version", BigInteger, nullable=False, server_default=text("0")),
        CheckConstraint("kind IN ('projector', 'reactor')", name="progress_kind_check"),
        info=OWNED,
    )


def _consumed_epochs(metadata: MetaData) -> Table:
    return Table(
        "consumed_epochs",
        metadata,
        Column("topic", Text, primary_key=True),
        Column("partition", Integer, primary_key=True, autoincrement=False),
        Column("log_epoch", Integer, nullable=False),
        info=OWNED,
    )


def _parked_events(metadata: MetaData) -> Table:
    return Table(
        "parked_events",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("kind", Text, nullable=False),
        Column("source", Text, nullable=False),
        Column("topic", Text, nullable=False),
        Column("partition", Integer, nullable=False),
        Column("offset", BigInteger, nullable=False),
        Column("key", Uuid),
        Column("version", BigInteger),
        Column("type", Text),
        Column("account_id", Uuid),
        Column("headers", JSONB, nullable=False),
        Column("payload", LargeBinary, nullable=False),
        Column("reason", Text, nullable=False),
        Column("error", Text),
        Column("attempts", Integer, nullable=False, server_default=text("0")),
        Column("state", Text, nullable=False, server_default=text("'parked'")),
        Column("retry_at", _TIME),
        Column("parked_at", _TIME, nullable=False, server_default=func.now()),
        CheckConstraint("kind IN ('projector', 'reactor')", name="parked_events_kind_check"),
        CheckConstraint("state IN ('parked', 'dead', 'dropped')", name="parked_events_state_check"),
        CheckConstraint(
            "reason IN ('gap', 'behind', 'failed', 'permanent', 'unreadable')", name="parked_events_reason_check"
        ),
        UniqueConstraint("kind", "source", "key", "version", name="parked_events_position_key"),
        Index("parked_events_retry_idx", "retry_at", postgresql_where=text("state = 'parked'")),
        info=OWNED,
    )


def _jobs(metadata: MetaData) -> Table:
    return Table(
        "jobs",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("kind", Text, nullable=False),
        Column("dedupe_key", Text, nullable=False),
        Column("payload", JSONB, nullable=False),
        Column("run_at", _TIME, nullable=False),
        Column("attempts", Integer, nullable=False, server_default=text("0")),
        Column("lease_token", BigInteger, nullable=False, server_default=text("0")),
        Column("lease_until", _TIME),
        Column("last_error", Text),
        Column("finished_at", _TIME),
        UniqueConstraint("kind", "dedupe_key", name="jobs_dedupe_key"),
        Index("jobs_due_idx", "run_at", postgresql_where=text("finished_at IS NULL")),
        info=OWNED,
    )

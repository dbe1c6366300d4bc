"""The monitor's tables: watches and observations.

Both are owned. A watch follows from lifecycle events, but it also holds what the monitor alone knows: how often in a row a probe
failed, what was last told to others, when to probe next. Thrown away and built from the log it would forget that an instance is
unhealthy, and tell it again.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Identity,
    Index,
    Integer,
    MetaData,
    Text,
    Uuid,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from clawdeploy_common.tables import OWNED, add_common_tables

metadata = MetaData()
common = add_common_tables(metadata)


class Base(DeclarativeBase):
    """Declarative base of the monitor."""

    metadata = metadata
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own protocol
        datetime: DateTime(timezone=True),
        UUID: Uuid,
        str: Text,
        int: Integer,
        bool: Boolean,
    }


class Watch(Base):
    """One instance under watch: what is expected of it, what was observed, when it is probed next.

    ``lifecycle_version`` is the newest version of the instance's lifecycle stream that was applied; what the row says was judged
    knowing it. ``next_probe_at`` is null while there is nothing to probe.
    """

    __tablename__ = "watches"
    __table_args__ = (
        CheckConstraint("expected IN ('nothing', 'running', 'stopped', 'gone')", name="watches_expected_check"),
        CheckConstraint(
            "process IN ('starting', 'healthy', 'unhealthy', 'stopped', 'gone', 'unknown')",
            name="watches_process_check",
        ),
        CheckConstraint("channel IN ('ready', 'failing', 'disabled', 'unknown')", name="watches_channel_check"),
        Index("watches_due_idx", "next_probe_at", postgresql_where=text("next_probe_at IS NOT NULL")),
        Index("watches_account_idx", "account_id"),
        {"info": OWNED},
    )

    instance_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    lifecycle_version: Mapped[int] = mapped_column(BigInteger)
    expected: Mapped[str] = mapped_column(server_default=text("'nothing'"))
    operation_id: Mapped[UUID | None]
    server_id: Mapped[UUID | None]
    server_state: Mapped[str] = mapped_column(server_default=text("'unknown'"))
    probe_url: Mapped[str | None]
    started_at: Mapped[datetime | None]
    process: Mapped[str] = mapped_column(server_default=text("'unknown'"))
    channel: Mapped[str] = mapped_column(server_default=text("'unknown'"))
    channel_candidate: Mapped[str | None]
    detail: Mapped[str | None]
    impairment: Mapped[str | None]
    drift: Mapped[str | None]
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    successes: Mapped[int] = mapped_column(server_default=text("0"))
    rounds: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    observed_at: Mapped[datetime | None]
    next_probe_at: Mapped[datetime | None]


class Observation(Base):
    """One probe's result; kept for a while, then deleted."""

    __tablename__ = "observations"
    __table_args__ = (
        Index("observations_instance_idx", "instance_id", "observed_at"),
        Index("observations_observed_idx", "observed_at"),
        {"info": OWNED},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    instance_id: Mapped[UUID]
    account_id: Mapped[UUID]
    lifecycle_version: Mapped[int] = mapped_column(BigInteger)
    observed_at: Mapped[datetime]
    alive: Mapped[bool]
    latency_ms: Mapped[int | None]
    detail: Mapped[str | None]
    channel: Mapped[str | None]
    server_state: Mapped[str | None]

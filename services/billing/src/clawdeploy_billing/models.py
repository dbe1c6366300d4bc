"""Billing's tables. All are owned: money is decided here once, and nothing of it is thrown away and built again."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from clawdeploy_common.tables import OWNED, add_common_tables

metadata = MetaData()
common = add_common_tables(metadata)


class Base(DeclarativeBase):
    """Declarative base of billing."""

    metadata = metadata
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own protocol
        datetime: DateTime(timezone=True),
        UUID: Uuid,
        str: Text,
        int: BigInteger,
        list[UUID]: ARRAY(Uuid),
        list[dict[str, Any]]: JSONB,
    }


class PriceBookRow(Base):
    """One version of the price book; never changed, only followed by the next."""

    __tablename__ = "price_books"
    __table_args__ = ({"info": OWNED},)

    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    valid_from: Mapped[datetime]
    currency: Mapped[str]
    prices: Mapped[list[dict[str, Any]]]
    llm_charge_percent: Mapped[int] = mapped_column(Integer)
    event_id: Mapped[UUID]


class Instance(Base):
    """An instance whose servers are metered; its row is the lock that orders what different topics tell of it."""

    __tablename__ = "instances"
    __table_args__ = ({"info": OWNED},)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    destroy_requested_at: Mapped[datetime | None]
    destroy_event_id: Mapped[UUID | None]


class Server(Base):
    """What is known of a server: the facts its meters follow from."""

    __tablename__ = "servers"
    __table_args__ = (
        CheckConstraint("outcome IN ('succeeded', 'failed', 'cancelled')", name="servers_outcome_check"),
        Index("servers_open_idx", "id", postgresql_where=text("destroyed_at IS NULL")),
        {"info": OWNED},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    instance_id: Mapped[UUID] = mapped_column(ForeignKey("instances.id"), index=True)
    account_id: Mapped[UUID]
    operation_id: Mapped[UUID]
    provider: Mapped[str]
    plan: Mapped[str]
    price_version: Mapped[int] = mapped_column(Integer)
    accepted_at: Mapped[datetime]
    accepted_event_id: Mapped[UUID]
    outcome: Mapped[str | None]
    outcome_event_id: Mapped[UUID | None]
    destroyed_at: Mapped[datetime | None]
    destroyed_event_id: Mapped[UUID | None]
    paid_until: Mapped[datetime | None]
    refunded: Mapped[bool] = mapped_column(server_default=text("false"))


class ServerMeter(Base):
    """A server at one rate: from ``since``, to ``until`` once that is known. What it says was booked and told in events."""

    __tablename__ = "server_meters"
    __table_args__ = (
        UniqueConstraint("server_id", "since", name="server_meters_since_key"),
        CheckConstraint("until >= since", name="server_meters_until_check"),
        CheckConstraint("charge_seconds BETWEEN 0 AND seconds", name="server_meters_seconds_check"),
        {"info": OWNED},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    server_id: Mapped[UUID] = mapped_column(ForeignKey("servers.id"))
    instance_id: Mapped[UUID]
    account_id: Mapped[UUID]
    since: Mapped[datetime]
    until: Mapped[datetime | None]
    price_version: Mapped[int] = mapped_column(Integer)
    cost_micros_per_hour: Mapped[int]
    charge_micros_per_hour: Mapped[int]
    seconds: Mapped[int] = mapped_column(server_default=text("0"))
    cost_seconds: Mapped[int] = mapped_column(server_default=text("0"))
    cost_micros: Mapped[int] = mapped_column(server_default=text("0"))
    charge_seconds: Mapped[int] = mapped_column(server_default=text("0"))
    charge_micros: Mapped[int] = mapped_column(server_default=text("0"))
    lines: Mapped[int] = mapped_column(Integer, server_default=text("0"))


class LlmKey(Base):
    """The meter of one LLM key, with the locked high-water mark of the provider's cumulative figure."""

    __tablename__ = "llm_keys"
    __table_args__ = (
        CheckConstraint("highest_micros >= 0", name="llm_keys_highest_check"),
        CheckConstraint("closed_reason IN ('read', 'deleted')", name="llm_keys_closed_reason_check"),
        Index("llm_keys_due_idx", "next_read_at", postgresql_where=text("closed_at IS NULL")),
        {"info": OWNED},
    )

    key_hash: Mapped[str] = mapped_column(primary_key=True)
    meter_id: Mapped[UUID] = mapped_column(unique=True)
    instance_id: Mapped[UUID]
    account_id: Mapped[UUID]
    price_version: Mapped[int] = mapped_column(Integer)
    minted_at: Mapped[datetime]
    minted_event_id: Mapped[UUID]
    revoked_at: Mapped[datetime | None]
    revoked_event_id: Mapped[UUID | None]
    highest_micros: Mapped[int] = mapped_column(server_default=text("0"))
    anomaly_micros: Mapped[int | None]
    lines: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    last_read_at: Mapped[datetime | None]
    last_usage_at: Mapped[datetime | None]
    next_read_at: Mapped[datetime]
    lease_token: Mapped[int] = mapped_column(server_default=text("0"))
    lease_until: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    closed_reason: Mapped[str | None]


class LedgerLine(Base):
    """One amount in one book, with the events it follows from. Append-only: a trigger refuses every change."""

    __tablename__ = "ledger_lines"
    __table_args__ = (
        UniqueConstraint("meter_id", "book", "number", name="ledger_lines_number_key"),
        CheckConstraint("meter_kind IN ('server', 'llm_key')", name="ledger_lines_meter_kind_check"),
        CheckConstraint("book IN ('cost', 'charge')", name="ledger_lines_book_check"),
        CheckConstraint("kind IN ('usage', 'adjustment')", name="ledger_lines_kind_check"),
        CheckConstraint("unit IN ('second', 'usd_micro')", name="ledger_lines_unit_check"),
        CheckConstraint("cardinality(event_ids) > 0", name="ledger_lines_events_check"),
        CheckConstraint("period_end >= period_start", name="ledger_lines_period_check"),
        Index("ledger_lines_account_idx", "account_id", "instance_id"),
        {"info": OWNED},
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    account_id: Mapped[UUID]
    instance_id: Mapped[UUID]
    meter_id: Mapped[UUID]
    meter_kind: Mapped[str]
    book: Mapped[str]
    number: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str]
    quantity: Mapped[int]
    unit: Mapped[str]
    micros: Mapped[int]
    currency: Mapped[str]
    price_version: Mapped[int] = mapped_column(Integer)
    period_start: Mapped[datetime]
    period_end: Mapped[datetime]
    event_ids: Mapped[list[UUID]]
    booked_at: Mapped[datetime] = mapped_column(server_default=func.now())

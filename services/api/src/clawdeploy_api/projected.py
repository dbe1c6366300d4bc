"""Tables that can be thrown away and built again from the log (law 4). Each topic owns its columns; nothing references across topics."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from clawdeploy_api.base import Base
from clawdeploy_common.tables import PROJECTION


class InstanceView(Base):
    """An instance as it was last told of: by the lifecycle topic, and by the health topic."""

    __tablename__ = "instance_views"
    __table_args__ = ({"info": PROJECTION},)

    instance_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID | None]
    # lifecycle
    state: Mapped[str] = mapped_column(server_default=text("'none'"))
    state_version: Mapped[int] = mapped_column(server_default=text("0"))
    state_at: Mapped[datetime | None]
    reason: Mapped[str | None]
    server_id: Mapped[UUID | None]
    provider_ref: Mapped[str | None]
    server_state: Mapped[str | None]
    server_detail: Mapped[str | None]
    server_paid_until: Mapped[datetime | None]  # of a server that is destroyed: it does not go with it
    endpoint: Mapped[str | None]
    deployed_at: Mapped[datetime | None]
    applied_config: Mapped[int | None]
    # health
    process: Mapped[str | None]
    channel: Mapped[str | None]
    health_detail: Mapped[str | None]
    health_at: Mapped[datetime | None]
    health_lifecycle_version: Mapped[int | None]


class OperationView(Base):
    """An operation as the provisioner tells of it."""

    __tablename__ = "operations"
    __table_args__ = ({"info": PROJECTION},)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID | None]
    state: Mapped[str]
    error: Mapped[str | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class OperationStepView(Base):
    """One step of an operation."""

    __tablename__ = "operation_steps"
    __table_args__ = ({"info": PROJECTION},)

    operation_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[UUID | None]
    position: Mapped[int]
    title: Mapped[str]
    state: Mapped[str] = mapped_column(server_default=text("'pending'"))
    message: Mapped[str | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class SealingKey(Base):
    """A public key secrets may be sealed to; the newest one is used."""

    __tablename__ = "sealing_keys"
    __table_args__ = ({"info": PROJECTION},)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    public_key: Mapped[str]
    announced_at: Mapped[datetime]


class PriceBook(Base):
    """A version of the price book."""

    __tablename__ = "price_books"
    __table_args__ = ({"info": PROJECTION},)

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    currency: Mapped[str]
    valid_from: Mapped[datetime]
    prices: Mapped[list[Any]]
    llm_charge_percent: Mapped[int]


class Meter(Base):
    """A server's meter: open with its rates, or closed with final amounts."""

    __tablename__ = "meters"
    __table_args__ = (Index("meters_instance_idx", "account_id", "instance_id"), {"info": PROJECTION})

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID | None]
    instance_id: Mapped[UUID]
    since: Mapped[datetime | None]
    cost_micros_per_hour: Mapped[int] = mapped_column(server_default=text("0"))
    charge_micros_per_hour: Mapped[int] = mapped_column(server_default=text("0"))
    price_version: Mapped[int]
    closed: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    seconds: Mapped[int] = mapped_column(server_default=text("0"))
    cost_micros: Mapped[int] = mapped_column(server_default=text("0"))
    charge_micros: Mapped[int] = mapped_column(server_default=text("0"))


class Usage(Base):
    """LLM usage of an instance, summed per price version."""

    __tablename__ = "usage_totals"
    __table_args__ = (Index("usage_totals_account_idx", "account_id"), {"info": PROJECTION})

    instance_id: Mapped[UUID] = mapped_column(primary_key=True)
    price_version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    account_id: Mapped[UUID | None]
    cost_micros: Mapped[int]
    charge_micros: Mapped[int]

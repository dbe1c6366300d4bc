"""The provisioner's tables: operations, servers, keys, debts. All are owned: nothing here can be rebuilt from the log."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from clawdeploy_common.tables import OWNED
from clawdeploy_provisioner.base import Base, metadata
from clawdeploy_provisioner.kept_state import tables as kept_tables
from clawdeploy_provisioner.on_server import tables
from clawdeploy_provisioner.providers.ovh import tables as ovh_tables
from clawdeploy_provisioner.providers.own import tables as own_tables

__all__ = ["kept_tables", "metadata", "ovh_tables", "own_tables", "tables"]


class Instance(Base):
    """An instance as the provisioner runs it; its desired state is the gateway's."""

    __tablename__ = "instances"
    __table_args__ = (
        CheckConstraint("wanted IN ('running', 'stopped', 'gone')", name="instances_wanted_check"),
        {"info": OWNED},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    deployment: Mapped[dict[str, Any]]
    identity: Mapped[bytes]
    wanted: Mapped[str] = mapped_column(server_default=text("'running'"))
    applied_config: Mapped[dict[str, Any] | None]
    destroyed_at: Mapped[datetime | None]


class Operation(Base):
    """A durable saga; at most one per instance is active, at most one waits."""

    __tablename__ = "operations"
    __table_args__ = (
        CheckConstraint(
            "state IN ('queued', 'running', 'compensating', 'succeeded', 'failed', 'cancelled')",
            name="operations_state_check",
        ),
        Index(
            "operations_active_key",
            "instance_id",
            unique=True,
            postgresql_where=text("state IN ('running', 'compensating')"),
        ),
        Index("operations_waiting_key", "instance_id", unique=True, postgresql_where=text("state = 'queued'")),
        Index("operations_due_idx", "run_at", postgresql_where=text("state IN ('running', 'compensating')")),
        {"info": OWNED},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    instance_id: Mapped[UUID] = mapped_column(ForeignKey("instances.id"), index=True)
    account_id: Mapped[UUID]
    provider: Mapped[str]
    kind: Mapped[str]
    state: Mapped[str]
    requested_by: Mapped[str]
    parameters: Mapped[dict[str, Any]]
    traceparent: Mapped[str | None]
    run_at: Mapped[datetime]
    lease_token: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    lease_until: Mapped[datetime | None]
    stalled_seconds: Mapped[int] = mapped_column(server_default=text("0"))
    cancel_requested_at: Mapped[datetime | None]
    error: Mapped[str | None]
    error_step: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class OperationStep(Base):
    """One step of an operation, with the outside call it may have under way."""

    __tablename__ = "operation_steps"
    __table_args__ = (
        CheckConstraint(
            "state IN ('pending', 'running', 'done', 'failed', 'compensated', 'skipped')",
            name="operation_steps_state_check",
        ),
        {"info": OWNED},
    )

    operation_id: Mapped[UUID] = mapped_column(ForeignKey("operations.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    state: Mapped[str] = mapped_column(server_default=text("'pending'"))
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    call_id: Mapped[UUID | None]
    call_deadline: Mapped[datetime | None]
    message: Mapped[str | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class OperationOutput(Base):
    """A line a step wrote for people, redacted before it came here; kept after failure and destroy."""

    __tablename__ = "operation_outputs"
    __table_args__ = ({"info": OWNED},)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    operation_id: Mapped[UUID] = mapped_column(ForeignKey("operations.id"), index=True)
    account_id: Mapped[UUID]
    step: Mapped[str]
    line: Mapped[str]
    written_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class Server(Base):
    """A server at a provider; kept after its destruction."""

    __tablename__ = "servers"
    __table_args__ = (
        Index(
            "servers_live_key",
            "instance_id",
            unique=True,
            postgresql_where=text("destroyed_at IS NULL AND abandoned_at IS NULL"),
        ),
        {"info": OWNED},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    instance_id: Mapped[UUID] = mapped_column(ForeignKey("instances.id"))
    account_id: Mapped[UUID]
    operation_id: Mapped[UUID]
    provider: Mapped[str]
    region: Mapped[str]
    plan: Mapped[str]
    price_version: Mapped[int]
    provider_ref: Mapped[str | None]
    state: Mapped[str] = mapped_column(server_default=text("'creating'"))
    detail: Mapped[str | None]
    host: Mapped[str | None]
    port: Mapped[int | None]
    restarts: Mapped[int] = mapped_column(server_default=text("0"))
    memory_bytes: Mapped[int | None] = mapped_column(BigInteger)
    disk_free_bytes: Mapped[int | None] = mapped_column(BigInteger)
    observed_at: Mapped[datetime | None]
    intended_at: Mapped[datetime] = mapped_column(server_default=func.now())
    accepted_at: Mapped[datetime | None]
    abandoned_at: Mapped[datetime | None]  # its removal failed and is owed as a debt
    destroyed_at: Mapped[datetime | None]
    paid_until: Mapped[datetime | None]  # it is gone for us, and paid until then


class LlmKey(Base):
    """An LLM key minted for an instance; its secret is encrypted at rest and erased with the key."""

    __tablename__ = "llm_keys"
    __table_args__ = (
        CheckConstraint("state IN ('intended', 'active', 'disabled', 'deleted')", name="llm_keys_state_check"),
        Index(
            "llm_keys_live_key", "instance_id", unique=True, postgresql_where=text("state IN ('intended', 'active')")
        ),
        {"info": OWNED},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    instance_id: Mapped[UUID] = mapped_column(ForeignKey("instances.id"))
    account_id: Mapped[UUID]
    name: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str]
    key_hash: Mapped[str | None]
    secret: Mapped[bytes | None]
    limit_micros: Mapped[int] = mapped_column(BigInteger)
    minted_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]


class CleanupDebt(Base):
    """A resource that must still be removed; tried until the provider confirms."""

    __tablename__ = "cleanup_debts"
    __table_args__ = (
        CheckConstraint("resource IN ('server', 'llm_key')", name="cleanup_debts_resource_check"),
        Index(
            "cleanup_debts_open_key",
            "resource",
            "resource_id",
            unique=True,
            postgresql_where=text("settled_at IS NULL"),
        ),
        Index("cleanup_debts_due_idx", "retry_at", postgresql_where=text("settled_at IS NULL")),
        {"info": OWNED},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    instance_id: Mapped[UUID]
    account_id: Mapped[UUID]
    resource: Mapped[str]
    resource_id: Mapped[UUID]
    provider: Mapped[str]
    provider_ref: Mapped[str]
    reason: Mapped[str]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    retry_at: Mapped[datetime]
    owed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    settled_at: Mapped[datetime | None]


class Orphan(Base):
    """A labelled resource that is not recorded; removed when it stays that way."""

    __tablename__ = "orphans"
    __table_args__ = ({"info": OWNED},)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    provider: Mapped[str]
    provider_ref: Mapped[str]
    resource: Mapped[str] = mapped_column(server_default=text("'server'"))
    since: Mapped[datetime] = mapped_column(server_default=func.now())  # at the provider
    found_at: Mapped[datetime] = mapped_column(server_default=func.now())
    removed_at: Mapped[datetime | None]


class SealingKey(Base):
    """A key pair secrets are sealed to; the private half is encrypted under ENCRYPTION_KEY."""

    __tablename__ = "sealing_keys"
    __table_args__ = ({"info": OWNED},)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    public_key: Mapped[bytes]
    private_key: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    retired_at: Mapped[datetime | None]


class SecretCopy(Base):
    """Sealed bytes fetched from the gateway, kept so that a start needs nobody else."""

    __tablename__ = "secret_copies"
    __table_args__ = ({"info": OWNED},)

    instance_id: Mapped[UUID] = mapped_column(ForeignKey("instances.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    account_id: Mapped[UUID]
    sealing_key_id: Mapped[UUID]
    sealed: Mapped[bytes]


class ConfigCopy(Base):
    """A configuration version fetched from the gateway."""

    __tablename__ = "config_copies"
    __table_args__ = ({"info": OWNED},)

    instance_id: Mapped[UUID] = mapped_column(ForeignKey("instances.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    account_id: Mapped[UUID]
    content_hash: Mapped[str]
    config: Mapped[dict[str, Any]]


class LoopLease(Base):
    """Who runs a loop that must run once in the whole platform."""

    __tablename__ = "loop_leases"
    __table_args__ = ({"info": OWNED},)

    name: Mapped[str] = mapped_column(primary_key=True)
    lease_until: Mapped[datetime]


class Sweep(Base):
    """When a provider's listing was last compared with the rows, from both sides."""

    __tablename__ = "sweeps"
    __table_args__ = ({"info": OWNED},)

    provider: Mapped[str] = mapped_column(primary_key=True)
    swept_at: Mapped[datetime]

"""Tables the gateway owns: accounts, keys, the desired state of instances, and what protects them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Interval, func, text
from sqlalchemy.orm import Mapped, mapped_column

from clawdeploy_api.base import Base
from clawdeploy_common.tables import OWNED

KINDS = "'deploy', 'redeploy', 'start', 'stop', 'restart', 'pause', 'resume', 'suspend', 'unsuspend', 'apply_config', 'destroy'"


class Account(Base):
    """A tenant; ``plan_instances`` is what its plan gives, ``max_instances`` overrides it, ``used`` is what is reserved."""

    __tablename__ = "accounts"
    __table_args__ = (
        CheckConstraint("used >= 0", name="accounts_used_check"),
        CheckConstraint("max_instances >= 0", name="accounts_max_instances_check"),
        CheckConstraint("role IN ('user', 'operator', 'admin')", name="accounts_role_check"),
        CheckConstraint("plan IN ('free', 'basic', 'pro', 'enterprise')", name="accounts_plan_check"),
        {"info": OWNED},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    plan: Mapped[str]
    role: Mapped[str] = mapped_column(server_default=text("'user'"))
    plan_instances: Mapped[int]
    max_instances: Mapped[int | None]
    used: Mapped[int] = mapped_column(server_default=text("0"))
    external_id: Mapped[str | None] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ApiKey(Base):
    """A key of an account: only its SHA-256 is kept (the key itself has 256 random bits)."""

    __tablename__ = "api_keys"
    __table_args__ = (
        Index("api_keys_bootstrap_key", "label", unique=True, postgresql_where=text("label = 'bootstrap'")),
        {"info": OWNED},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), index=True)
    key_hash: Mapped[bytes] = mapped_column(unique=True)
    label: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Instance(Base):
    """What a person wants: the only copy of an instance's desired state."""

    __tablename__ = "instances"
    __table_args__ = (
        CheckConstraint(
            "desired_status IN ('running', 'stopped', 'paused', 'suspended', 'deleted')",
            name="instances_desired_status_check",
        ),
        CheckConstraint("length(name) BETWEEN 1 AND 255", name="instances_name_check"),
        CheckConstraint("slug ~ '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$'", name="instances_slug_check"),
        Index("instances_slug_key", "account_id", "slug", unique=True, postgresql_where=text("deleted_at IS NULL")),
        Index("instances_page_idx", "account_id", "id"),
        {"info": OWNED},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    name: Mapped[str]
    slug: Mapped[str]
    model: Mapped[str]
    channel: Mapped[str]
    provider: Mapped[str]
    plan: Mapped[str]
    region: Mapped[str]
    desired_status: Mapped[str]
    config_version: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    destroy_requested_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]


class ConfigVersion(Base):
    """A published configuration; never changed."""

    __tablename__ = "configs"
    __table_args__ = (CheckConstraint("version >= 1", name="configs_version_check"), {"info": OWNED})

    instance_id: Mapped[UUID] = mapped_column(ForeignKey("instances.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    account_id: Mapped[UUID]
    content_hash: Mapped[str]
    config: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class Secret(Base):
    """A secret sealed to the provisioner; the gateway cannot open it. A removed one is named by no configuration any more."""

    __tablename__ = "secrets"
    __table_args__ = (CheckConstraint("version >= 1", name="secrets_version_check"), {"info": OWNED})

    instance_id: Mapped[UUID] = mapped_column(ForeignKey("instances.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    account_id: Mapped[UUID]
    sealing_key_id: Mapped[UUID]
    sealed: Mapped[bytes]
    sealed_hash: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    removed_at: Mapped[datetime | None]


class OperationRequest(Base):
    """An operation that was asked for; how it goes is projected from the lifecycle topic."""

    __tablename__ = "operation_requests"
    __table_args__ = (
        CheckConstraint(f"kind IN ({KINDS})", name="operation_requests_kind_check"),
        CheckConstraint("requested_by IN ('person', 'platform')", name="operation_requests_requested_by_check"),
        Index("operation_requests_instance_idx", "instance_id", "id"),
        Index("operation_requests_page_idx", "account_id", "id"),
        {"info": OWNED},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    instance_id: Mapped[UUID] = mapped_column(ForeignKey("instances.id"))
    kind: Mapped[str]
    requested_by: Mapped[str]
    requested_at: Mapped[datetime]
    cancel_requested_at: Mapped[datetime | None]


class AuditEntry(Base):
    """Who did what, when, from where; no secret ever."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("audit_log_page_idx", "account_id", "id"), {"info": OWNED})

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    api_key_id: Mapped[UUID]
    action: Mapped[str]
    subject: Mapped[UUID]
    details: Mapped[dict[str, Any]]
    address: Mapped[str | None]
    at: Mapped[datetime]


class IdempotencyKey(Base):
    """A request's key and the answer it had; written in the transaction of its effect, kept seven days."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("idempotency_keys_age_idx", "created_at"), {"info": OWNED})

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    method: Mapped[str] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    body_hash: Mapped[bytes]
    status: Mapped[int]
    location: Mapped[str | None]
    body: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class RateLimit(Base):
    """GCRA: ``tat`` is the theoretical arrival time. Unlogged: forgetting it in a crash forgives a minute."""

    __tablename__ = "rate_limits"
    __table_args__ = ({"info": OWNED, "prefixes": ["UNLOGGED"]},)

    key: Mapped[str] = mapped_column(primary_key=True)
    tat: Mapped[datetime]
    step: Mapped[timedelta] = mapped_column(Interval)
    span: Mapped[timedelta] = mapped_column(Interval)

"""Tables of the on-server agents: who they are, what they are to do, what they said last. Heartbeats are rows, not events."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from clawdeploy_common.tables import OWNED
from clawdeploy_provisioner.base import Base


class ServerAgent(Base):
    """The agent of one server: its credential's hash, the wish it is to carry out, its last heartbeat."""

    __tablename__ = "server_agents"
    __table_args__ = (
        CheckConstraint("wanted IN ('running', 'stopped')", name="server_agents_wanted_check"),
        Index("server_agents_credential_key", "credential_hash", unique=True),
        {"info": OWNED},
    )

    id: Mapped[UUID] = mapped_column(ForeignKey("servers.id"), primary_key=True)
    instance_id: Mapped[UUID]
    account_id: Mapped[UUID]
    ssh_key: Mapped[bytes | None]  # the deployment's private key, encrypted at rest
    ssh_user: Mapped[str] = mapped_column(server_default=text("'root'"))
    ssh_port: Mapped[int] = mapped_column(server_default=text("22"))
    host_key: Mapped[str | None]  # as the server showed it at first contact
    credential_hash: Mapped[bytes | None]
    registered_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    wanted: Mapped[str] = mapped_column(server_default=text("'stopped'"))
    generation: Mapped[int] = mapped_column(server_default=text("0"))
    configuration_id: Mapped[UUID | None]
    heartbeat_at: Mapped[datetime | None]
    heartbeat: Mapped[dict[str, Any] | None] = mapped_column(JSONB)


class AgentToken(Base):
    """A registration token, as its SHA-256; used up by the first heartbeat."""

    __tablename__ = "agent_tokens"
    __table_args__ = ({"info": OWNED},)

    hash: Mapped[bytes] = mapped_column(primary_key=True)
    server_id: Mapped[UUID] = mapped_column(ForeignKey("server_agents.id"), index=True)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class AgentConfiguration(Base):
    """A configuration published to an agent; its content is encrypted at rest and erased with the instance's secrets."""

    __tablename__ = "agent_configurations"
    __table_args__ = (
        CheckConstraint("result IN ('applied', 'rejected', 'rolled_back')", name="agent_configurations_result_check"),
        {"info": OWNED},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    server_id: Mapped[UUID] = mapped_column(ForeignKey("server_agents.id"), index=True)
    instance_id: Mapped[UUID]
    version: Mapped[int]
    digest: Mapped[bytes]
    content: Mapped[bytes]
    result: Mapped[str | None]
    issues: Mapped[list[str] | None] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    acknowledged_at: Mapped[datetime | None]


class RateBudget(Base):
    """What is left of an outside API's rate limit, shared by every process that uses the same token."""

    __tablename__ = "rate_budgets"
    __table_args__ = ({"info": OWNED},)

    name: Mapped[str] = mapped_column(primary_key=True)
    remaining: Mapped[int]
    closed_until: Mapped[datetime | None]
    refilled_at: Mapped[datetime]
    calls: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))

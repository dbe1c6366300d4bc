"""The operator's own machines."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from clawdeploy_common.tables import OWNED
from clawdeploy_provisioner.base import Base


class OwnServer(Base):
    """A machine as it was registered; ``server_id`` is the claim: one server of ours at most, until it is put back."""

    __tablename__ = "own_servers"
    __table_args__ = (
        CheckConstraint(
            "state IN ('checking', 'free', 'unreachable', 'taken', 'releasing')", name="own_servers_state_check"
        ),
        CheckConstraint("(server_id IS NOT NULL) = (state IN ('taken', 'releasing'))", name="own_servers_claim_check"),
        UniqueConstraint("address", "ssh_port", name="own_servers_address_key"),
        {"info": OWNED},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    address: Mapped[str]
    ssh_port: Mapped[int]
    ssh_user: Mapped[str]
    ssh_key: Mapped[bytes]  # the operator's private key for it, encrypted at rest
    host_key: Mapped[str | None]  # as it was given, or as the machine showed it at first contact
    region: Mapped[str]
    memory_mb: Mapped[int | None]  # as it was given, or as the machine said
    state: Mapped[str] = mapped_column(server_default=text("'checking'"))
    reason: Mapped[str | None]  # why it cannot be used
    check_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    checked_at: Mapped[datetime | None]
    server_id: Mapped[UUID | None] = mapped_column(ForeignKey("servers.id"), unique=True)
    claimed_at: Mapped[datetime | None]
    begun_at: Mapped[datetime | None]  # something was about to be put there: from here on it is put back
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))

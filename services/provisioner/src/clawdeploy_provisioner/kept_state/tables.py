"""Tables of kept states: what an agent knew while its server is made anew."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from clawdeploy_common.tables import OWNED
from clawdeploy_provisioner.base import Base


class KeptState(Base):
    """One instance's state; complete when ``completed_at`` is set. Its data key is encrypted under ENCRYPTION_KEY."""

    __tablename__ = "kept_states"
    __table_args__ = ({"info": OWNED},)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    instance_id: Mapped[UUID] = mapped_column(ForeignKey("instances.id"), unique=True)
    account_id: Mapped[UUID]
    operation_id: Mapped[UUID]  # that saved it
    data_key: Mapped[bytes]
    chunks: Mapped[int | None]
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None]
    held_by: Mapped[
        UUID | None
    ]  # the server that has it too: it was read from there, or written there, and not removed since
    begun_at: Mapped[datetime] = mapped_column(server_default=func.now())
    completed_at: Mapped[datetime | None]


class KeptStateChunk(Base):
    """A piece of it, encrypted under its data key."""

    __tablename__ = "kept_state_chunks"
    __table_args__ = ({"info": OWNED},)

    state_id: Mapped[UUID] = mapped_column(ForeignKey("kept_states.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sealed: Mapped[bytes]

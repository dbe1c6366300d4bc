"""What was ordered at OVH for each server: kept before OVH is asked, because an order cannot carry our label."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, text
from sqlalchemy.orm import Mapped, mapped_column

from clawdeploy_common.tables import OWNED
from clawdeploy_provisioner.base import Base


class OvhOrder(Base):
    """An order from its cart to the end of its contract; one order belongs to one server."""

    __tablename__ = "ovh_orders"
    __table_args__ = ({"info": OWNED},)

    server_id: Mapped[UUID] = mapped_column(ForeignKey("servers.id"), primary_key=True)
    labels: Mapped[dict[str, Any]]
    memory_mb: Mapped[int]
    plan: Mapped[str | None]
    datacenter: Mapped[str | None]
    cart_id: Mapped[str | None]
    checkout_at: Mapped[datetime | None]  # the checkout was about to be sent: from here on it is never sent blindly
    order_id: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    service_name: Mapped[str | None] = mapped_column(unique=True)
    reinstalled_at: Mapped[datetime | None]  # with the deployment's key; the bootstrap may begin
    wiped_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]  # the contract ends then; it is paid until then
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))

"""The rows of orders: each change is committed before or after the call it is about, never with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from clawdeploy_common.database import Database
from clawdeploy_provisioner.providers.protocol import LastBill

_FIND = text("SELECT * FROM ovh_orders WHERE server_id = :id")
_LIVE = text("SELECT * FROM ovh_orders WHERE order_id IS NOT NULL AND ends_at IS NULL ORDER BY created_at")
_INTEND = text(
    """
    INSERT INTO ovh_orders (server_id, labels, memory_mb) VALUES (:id, :labels, :memory_mb)
    ON CONFLICT (server_id) DO UPDATE SET server_id = excluded.server_id RETURNING *
    """
).bindparams(bindparam("labels", type_=JSONB))
_CHECKING_OUT = text(
    """
    UPDATE ovh_orders SET plan = :plan, datacenter = :datacenter, cart_id = :cart, checkout_at = clock_timestamp()
    WHERE server_id = :id AND checkout_at IS NULL RETURNING *
    """
)
_NOT_BOUGHT = text(
    "UPDATE ovh_orders SET cart_id = NULL, checkout_at = NULL WHERE server_id = :id AND order_id IS NULL"
)
_BOUGHT = text("UPDATE ovh_orders SET order_id = :order WHERE server_id = :id AND order_id IS NULL")
_TAKEN = text("SELECT order_id FROM ovh_orders WHERE order_id IS NOT NULL")
_ENDED = text("SELECT 1 FROM ovh_orders WHERE order_id = :order AND ends_at IS NOT NULL")
_DELIVERED = text("UPDATE ovh_orders SET service_name = :name WHERE server_id = :id")
_REINSTALLED = text("UPDATE ovh_orders SET reinstalled_at = clock_timestamp() WHERE server_id = :id")
_AGAIN = text("UPDATE ovh_orders SET reinstalled_at = NULL WHERE server_id = :id")
_WIPED = text("UPDATE ovh_orders SET wiped_at = clock_timestamp() WHERE server_id = :id")
_ENDS = text("UPDATE ovh_orders SET ends_at = :at WHERE server_id = :id")


@dataclass(frozen=True, kw_only=True)
class OrderRow:
    """An order as far as we know it."""

    server_id: UUID
    labels: dict[str, Any]
    memory_mb: int
    plan: str | None
    datacenter: str | None
    cart_id: str | None
    checkout_at: datetime | None
    order_id: int | None
    service_name: str | None
    reinstalled_at: datetime | None
    wiped_at: datetime | None
    ends_at: datetime | None
    created_at: datetime

    @property
    def last_bill(self) -> LastBill:
        """What OVH charges once it has ended: nothing for an order that never became a VPS (it was cancelled, and is paid back), until
        the end of its month when it was we who ended the contract; nobody knows when somebody else did.
        """
        if self.ends_at is None:
            return LastBill()
        return LastBill(paid_until=None if self.wiped_at is None else self.ends_at, refunded=self.service_name is None)


class Orders:
    """By server."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, server_id: UUID) -> OrderRow | None:
        """One; None when nothing was ever to be ordered for this server."""
        rows = await self._rows(_FIND, id=server_id)
        return rows[0] if rows else None

    async def live(self) -> list[OrderRow]:
        """Those that were bought and whose contracts go on."""
        return await self._rows(_LIVE)

    async def intend(self, server_id: UUID, *, labels: dict[str, Any], memory_mb: int) -> OrderRow:
        """Write down that something will be ordered."""
        return (await self._rows(_INTEND, id=server_id, labels=labels, memory_mb=memory_mb))[0]

    async def checking_out(self, server_id: UUID, *, cart: str, plan: str, datacenter: str) -> OrderRow | None:
        """Commit that this cart is about to be checked out; None when another one was."""
        rows = await self._rows(_CHECKING_OUT, id=server_id, cart=cart, plan=plan, datacenter=datacenter)
        return rows[0] if rows else None

    async def not_bought(self, server_id: UUID) -> None:
        """OVH refused the checkout: another cart may be tried."""
        await self._do(_NOT_BOUGHT, id=server_id)

    async def bought(self, server_id: UUID, order_id: int) -> None:
        """Before anything else is done with it."""
        await self._do(_BOUGHT, id=server_id, order=order_id)

    async def taken(self) -> frozenset[int]:
        """Orders that are known to be some server's."""
        async with self._database.transaction() as unit:
            return frozenset((await unit.session.execute(_TAKEN)).scalars())

    async def is_ended(self, order_id: int) -> bool:
        """Whether OVH has confirmed that its contract ends."""
        async with self._database.transaction() as unit:
            return await unit.session.scalar(_ENDED, {"order": order_id}) is not None

    async def delivered(self, server_id: UUID, service_name: str) -> None:
        """The order has become this service."""
        await self._do(_DELIVERED, id=server_id, name=service_name)

    async def reinstalled(self, server_id: UUID) -> None:
        """Our key is on it."""
        await self._do(_REINSTALLED, id=server_id)

    async def to_be_reinstalled(self, server_id: UUID) -> None:
        """What is on it counts for nothing any more."""
        await self._do(_AGAIN, id=server_id)

    async def wiped(self, server_id: UUID) -> None:
        """Its disk was given up."""
        await self._do(_WIPED, id=server_id)

    async def ends(self, server_id: UUID, at: datetime) -> None:
        """OVH has confirmed that the contract is not renewed."""
        await self._do(_ENDS, id=server_id, at=at)

    async def _do(self, statement: Any, **values: Any) -> None:
        async with self._database.transaction() as unit:
            await unit.session.execute(statement, values)

    async def _rows(self, statement: Any, **values: Any) -> list[OrderRow]:
        async with self._database.transaction() as unit:
            found: Sequence[Any] = (await unit.session.execute(statement, values)).mappings().all()
        return [OrderRow(**row) for row in found]

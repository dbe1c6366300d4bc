"""What we have in an OVH account: orders by server, and the VPS that came of them, tagged once they are there."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

import structlog

from clawdeploy_provisioner.on_server.user_data import FirstStart
from clawdeploy_provisioner.providers.cloud.account import (
    INSTANCE_LABEL,
    PLATFORM_LABEL,
    SERVER_LABEL,
    Machine,
    Order,
    labels_of,
)
from clawdeploy_provisioner.providers.cloud.choice import Offer
from clawdeploy_provisioner.providers.cloud.client import CloudRefused
from clawdeploy_provisioner.providers.cloud.listing import SharedListing
from clawdeploy_provisioner.providers.cloud.settings import CloudSettings
from clawdeploy_provisioner.providers.ovh.buying import Buying
from clawdeploy_provisioner.providers.ovh.catalogue import catalogue_of, stock_of
from clawdeploy_provisioner.providers.ovh.choice import offers, plans_that_fit
from clawdeploy_provisioner.providers.ovh.client import OvhClient
from clawdeploy_provisioner.providers.ovh.delivery import Delivery
from clawdeploy_provisioner.providers.ovh.orders import OrderRow, Orders
from clawdeploy_provisioner.providers.ovh.vps import Vps
from clawdeploy_provisioner.providers.protocol import Belonging, ProviderUnavailable, ServerSpec, ServerState

log = structlog.get_logger()

ENDS_LABEL = "clawdeploy.ends"
"""On a VPS whose contract we have ended: it stays, paid and empty, until that day, and is no server of ours any more."""


class OvhAccount:
    """See ``providers.cloud.account.CloudAccount``. A server's reference is the number of its order, which there is first."""

    keeps_user_data = False

    def __init__(
        self, client: OvhClient, tags: OvhClient, settings: CloudSettings, *, orders: Orders, subsidiary: str
    ) -> None:
        self._client = client
        self._settings = settings
        self._subsidiary = subsidiary
        self.orders = orders
        self.vps = Vps(client, tags)
        self._buying = Buying(client, orders, image=settings.image, subsidiary=subsidiary)
        self._delivery = Delivery(client)
        self._listing = SharedListing(self._list)

    async def order(self, order: Order) -> Machine:
        """The order is written down first; a checkout whose answer was lost is looked for before another is thought of."""
        spec = order.spec
        labels = labels_of(spec, platform=self._settings.platform)
        row = await self.orders.intend(spec.server_id, labels=labels, memory_mb=spec.memory_mb)
        order_id = row.order_id
        if order_id is None and row.checkout_at is not None:
            order_id = await self._buying.settle(row)
        if order_id is None:
            order_id = await self._buying.buy(row, await self._offers(spec), limit=self._settings.max_hourly)
        bought = await self.orders.find(spec.server_id) or row
        return _ordered(bought, order_id, ServerState.CREATING)

    async def _offers(self, spec: ServerSpec) -> list[Offer]:
        fitting = plans_that_fit(await catalogue_of(self._client, subsidiary=self._subsidiary), spec)
        stock = {plan: await stock_of(self._client, plan, subsidiary=self._subsidiary) for plan in fitting}
        return offers(fitting, stock, spec=spec, limit=self._settings.max_hourly)

    async def servers(self, *, fresh: bool = False) -> list[Machine]:
        """What was ordered and what is tagged; a VPS that is tagged and was ordered by nobody we know is among them."""
        return await self._listing.machines(fresh=fresh)

    async def _list(self) -> list[Machine]:
        rows = await self.orders.live()
        found = [await self._machine(row) for row in rows]
        known = {str(row.server_id): row.service_name for row in rows}
        strange = [
            tagged
            for tagged in await self.vps.tagged()
            if self._is_ours(tagged) and known.get(tagged["tags"][SERVER_LABEL], "") not in (None, tagged["name"])
        ]
        return [machine for machine in found if machine is not None] + [await self._strange(each) for each in strange]

    def forget(self) -> None:
        """After a change of ours the last listing is old."""
        self._listing.forget()

    async def server(self, server_id: UUID) -> Machine | None:
        """By its order, asked now."""
        row = await self.orders.find(server_id)
        return None if row is None or row.order_id is None or row.ends_at is not None else await self._machine(row)

    async def _machine(self, row: OrderRow) -> Machine | None:
        assert row.order_id is not None  # noqa: S101 - only what was bought is asked for
        name = row.service_name or await self._delivered(row, row.order_id)
        if name is None:
            cancelled = await self._delivery.is_cancelled(row.order_id)
            return _ordered(row, row.order_id, ServerState.OFF if cancelled else ServerState.CREATING)
        found = await self.vps.find(name)
        if found is None:
            return None
        return _ordered(row, row.order_id, self.vps.state_of(found), host=await self.vps.address(name))

    async def _delivered(self, row: OrderRow, order_id: int) -> str | None:
        """The service's name, once there is one: tagged as ours before it is written down."""
        name = await self._delivery.service_of(order_id)
        found = None if name is None else await self.vps.find(name)
        if name is None or found is None:
            return None
        await self.vps.tag(found, row.labels)
        await self.orders.delivered(row.server_id, name)
        log.info("ovh.delivered", server_id=str(row.server_id), order_id=order_id, service=name)
        return name

    async def power_on(self, machine: Machine) -> None:
        """Followed to its end."""
        await self._power(machine, "start")

    async def power_off(self, machine: Machine) -> None:
        """Followed to its end."""
        await self._power(machine, "stop")

    async def reset(self, machine: Machine) -> None:
        """Not followed: its agent says when it is back."""
        if (name := await self._name_of(machine)) is not None:
            await self.vps.ask(name, "reboot")

    async def _power(self, machine: Machine, verb: str) -> None:
        if (name := await self._name_of(machine)) is not None:
            await self.vps.do(name, verb)
        self.forget()

    async def _name_of(self, machine: Machine) -> str | None:
        row = await self.orders.find(machine.server_id)
        return None if row is None else row.service_name

    async def rebuild(self, machine: Machine, start: FirstStart | None) -> None:
        """What is on it counts for nothing any more: the provider's next installation begins with an empty system."""
        del start
        await self.orders.to_be_reinstalled(machine.server_id)

    async def remove(self, server_id: UUID) -> None:
        """End the contract and wipe the disk at once; the VPS stays, empty and paid, until its last month is over.

        What carries the server's label and is no order that we know goes on costing too: its contract is ended as well.

        Raises:
            ProviderUnavailable: nobody knows yet what was bought, it is not delivered, or its contract is too young to end.
        """
        row = await self.orders.find(server_id)
        if row is None or row.checkout_at is None or row.ends_at is not None:
            await self._end_strange(server_id)  # by us nothing was ever bought, or it ends already
            return
        order_id = row.order_id or await self._buying.settle(row)
        if order_id is None:
            return
        name = row.service_name or await self._delivered(row, order_id)
        if name is not None:
            await self._ended(row, name)
        elif not await self._delivery.is_cancelled(order_id):
            raise ProviderUnavailable(
                f"order {order_id} is not delivered yet; its contract can be ended then", retry_after=15
            )
        else:
            await self.orders.ends(server_id, datetime.now(UTC))
        self.forget()

    async def _end_strange(self, server_id: UUID) -> None:
        for tagged in await self.vps.tagged():
            if self._is_ours(tagged) and tagged["tags"][SERVER_LABEL] == str(server_id):
                await self._end(tagged["name"])

    async def _ended(self, row: OrderRow, name: str) -> None:
        found = await self.vps.find(name)
        if found is None:
            await self.orders.ends(row.server_id, datetime.now(UTC))
            return
        ends_at = await self.vps.end_contract(name)
        if row.wiped_at is None:
            await self.vps.reinstall(name, image=self._settings.image, public_key=None)
            await self.orders.wiped(row.server_id)
        await self.vps.tag(found, {ENDS_LABEL: ends_at.date().isoformat()})
        await self.orders.ends(row.server_id, ends_at)
        log.info("ovh.contract_ends", server_id=str(row.server_id), service=name, ends_at=ends_at.isoformat())

    async def holds(self, ref: str) -> bool:
        """Whether the contract of this order, or of this service, goes on."""
        if not ref.isdigit():
            return any(self._is_ours(tagged) for tagged in await self.vps.tagged() if tagged["name"] == ref)
        if await self.orders.is_ended(int(ref)):
            return False
        try:
            name = await self._delivery.service_of(int(ref))
        except CloudRefused as error:
            if error.http_status == HTTPStatus.NOT_FOUND:
                return False
            raise
        if name is None:
            return not await self._delivery.is_cancelled(int(ref))
        return await self.vps.find(name) is not None

    async def trouble(self, ref: str) -> str | None:
        """That OVH has cancelled the order."""
        return (
            f"OVH has cancelled order {ref}" if ref.isdigit() and await self._delivery.is_cancelled(int(ref)) else None
        )

    async def belongings(self) -> list[Belonging]:
        """None: the key travels with each installation, and the firewall is the server's own."""
        return []

    async def give_back(self, belonging: Belonging) -> None:
        """A VPS that is tagged as ours and that nobody ordered: its contract is ended."""
        await self._end(belonging.ref)

    async def _end(self, name: str) -> None:
        found = await self.vps.find(name)
        if found is not None:
            ends_at = await self.vps.end_contract(name)
            await self.vps.tag(found, {ENDS_LABEL: ends_at.date().isoformat()})
        self.forget()

    async def _strange(self, tagged: dict[str, Any]) -> Machine:
        instance = tagged["tags"].get(INSTANCE_LABEL)
        return Machine(
            server_id=UUID(tagged["tags"][SERVER_LABEL]),
            instance_id=UUID(instance) if instance else None,
            ref=tagged["name"],
            state=ServerState.UNKNOWN,
            host=None,
            created_at=await self.vps.bought_at(tagged["name"]) or datetime.now(UTC),
        )

    def _is_ours(self, tagged: dict[str, Any]) -> bool:
        tags: dict[str, str] = tagged.get("tags") or {}
        return tags.get(PLATFORM_LABEL) == self._settings.platform and SERVER_LABEL in tags and ENDS_LABEL not in tags


def _ordered(row: OrderRow, order_id: int, state: ServerState, *, host: str | None = None) -> Machine:
    return Machine(
        server_id=row.server_id,
        instance_id=UUID(row.labels[INSTANCE_LABEL]),
        ref=str(order_id),
        state=state,
        host=host,
        created_at=row.checkout_at or row.created_at,
    )

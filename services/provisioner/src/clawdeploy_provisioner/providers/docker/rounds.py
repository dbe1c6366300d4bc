"""What is done to every cell every few seconds without being asked, and to all of them when the platform goes down."""

import asyncio
from uuid import UUID

from clawdeploy_provisioner.providers.docker.inventory import Inventory
from clawdeploy_provisioner.providers.docker.lifecycle import Lifecycle
from clawdeploy_provisioner.providers.docker.relay import Relays
from clawdeploy_provisioner.providers.docker.seeing import Seeing
from clawdeploy_provisioner.providers.docker.sight import Sight
from clawdeploy_provisioner.providers.protocol import Server
from clawdeploy_provisioner.providers.supervising import passing_over


class Rounds:
    """One after the other over the cells nobody works on: the engine restarts what ends, this is about the rest."""

    def __init__(self, inventory: Inventory, lifecycle: Lifecycle, seeing: Seeing, relays: Relays) -> None:
        self._inventory = inventory
        self._lifecycle = lifecycle
        self._seeing = seeing
        self._relays = relays

    async def supervise(self) -> list[Server]:
        """One round; answers the servers it did something about."""
        found, complete = await self._inventory.all()
        handled = await asyncio.gather(
            *(passing_over(server_id, self._supervise_one(server_id)) for _, server_id in found)
        )
        if complete:
            self._relays.keep(await self._inventory.tidy())
        return [server for server in handled if server is not None]

    async def park(self) -> int:
        """Stop every cell, to be started by a later round; answers how many there were."""
        found, _ = await self._inventory.all()
        return sum(await asyncio.gather(*(self._park_one(server_id) for _, server_id in found)))

    async def observe(self, server_id: UUID) -> Server | None:
        """The server now; asks a gateway that is still starting whether it is ready."""
        sight = await self._inventory.find(server_id)
        return None if sight is None else await self._seeing.seen(sight)

    async def relay(self, sight: Sight) -> None:
        """Keep the way open from the cell to a model behind a loopback port of this machine."""
        record, anchor = sight.kept.record, sight.anchor
        if record.relayed_port is not None and anchor is not None and sight.engine.host.is_local:
            await self._relays.ensure(anchor.gateway, record.relayed_port)

    async def _supervise_one(self, server_id: UUID) -> Server | None:
        await self.observe(server_id)
        async with self._inventory.holding(server_id, patience=0):
            sight = await self._inventory.find(server_id)
            if sight is None:
                return None
            await self.relay(sight)
            acted = await self._lifecycle.supervise(sight, disk_free=await self._seeing.disk_free(sight.engine))
            return await self.observe(server_id) if acted else None

    async def _park_one(self, server_id: UUID) -> bool:
        async with self._inventory.holding(server_id):
            sight = await self._inventory.find(server_id, fresh=True)
            return sight is not None and await self._lifecycle.park(sight)

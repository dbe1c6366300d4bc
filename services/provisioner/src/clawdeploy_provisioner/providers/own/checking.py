"""Machines that were registered are looked at before anything is placed on them, and those that cannot be used again and again."""

import asyncio

import asyncssh
import structlog

from clawdeploy_common.sealing import SealBroken
from clawdeploy_provisioner.providers.own.machines import OwnMachine, OwnMachines
from clawdeploy_provisioner.providers.own.visiting import Visits
from clawdeploy_provisioner.providers.protocol import ProviderError

log = structlog.get_logger()

_ROUND_S = 1.0
_HOLD_S = 90.0
_AGAIN_S = 60.0


class Checking:
    """Every second, whoever is due; one that could not be used is due again after a minute."""

    def __init__(self, machines: OwnMachines) -> None:
        self._machines = machines
        self._visits = Visits(machines)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self.round()
            await asyncio.sleep(_ROUND_S)

    async def round(self) -> None:
        """Look at those that are due, all at once."""
        await asyncio.gather(*(self._look(machine) for machine in await self._machines.due(hold_s=_HOLD_S)))

    async def _look(self, machine: OwnMachine) -> None:
        memory_mb, reason = None, None
        try:
            memory_mb = await self._visits.look(machine)
        except (ProviderError, SealBroken, asyncssh.Error, OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
        state = "free" if reason is None else "unreachable"
        log.info("own_server.looked_at", own_server_id=str(machine.id), state=state, reason=reason)
        await self._machines.looked_at(machine.id, state=state, reason=reason, memory_mb=memory_mb, again_s=_AGAIN_S)

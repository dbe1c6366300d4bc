"""A machine that is a container."""

from clawdeploy_emulators.cloud.machines import FirstBoot
from clawdeploy_emulators.machines.hypervisor import Hypervisor

_PULL_THE_PLUG_S = 3


class ContainerMachine:
    """See ``cloud.machines.Machine``. What it is survives the stand-in: the container is found again by its name."""

    def __init__(self, server_id: str, *, hypervisor: Hypervisor) -> None:
        self._server_id = server_id
        self._hypervisor = hypervisor
        self._engine = hypervisor.engine
        self._name = hypervisor.name_of(server_id)

    async def boot(self, first: FirstBoot) -> None:
        """Come up with this user data; one that exists comes up as it is."""
        if not await self._engine.knows("container", self._name):
            await self._hypervisor.create(self._server_id, first)
        await self.power_on()

    async def power_on(self) -> None:
        """Start it; nothing when it runs."""
        await self._hypervisor.open_ways()
        await self._engine.run("start", self._name)

    async def power_off(self) -> None:
        """Stop it; what it has not written after three seconds is lost."""
        if await self._engine.knows("container", self._name):
            await self._engine.run("stop", "-t", str(_PULL_THE_PLUG_S), self._name)

    async def rebuild(self, first: FirstBoot) -> None:
        """Begin again on an empty disk, with new host keys."""
        await self.delete()
        await self.boot(first)

    async def delete(self) -> None:
        """Remove it with its disk."""
        if await self._engine.knows("container", self._name):
            await self._engine.run("rm", "-f", "-v", self._name)

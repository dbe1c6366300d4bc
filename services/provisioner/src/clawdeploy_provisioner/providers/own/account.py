"""The operator's own machines as an account: an order is a claim, a removal puts the machine back and gives the claim up."""

from uuid import UUID

import structlog

from clawdeploy_common.clock import utc_now
from clawdeploy_common.errors import PermanentError
from clawdeploy_provisioner.on_server.user_data import FirstStart
from clawdeploy_provisioner.providers.cloud.account import Machine, Order
from clawdeploy_provisioner.providers.own.machines import OwnMachine, OwnMachines
from clawdeploy_provisioner.providers.own.visiting import Visits
from clawdeploy_provisioner.providers.protocol import Belonging, ProviderError, ServerState

log = structlog.get_logger()


class NotOursToDo(ProviderError, PermanentError):
    """A machine of the operator's own is neither wiped nor switched by the platform."""

    code = "not-ours-to-do"
    title = "The platform does not do this to a machine of your own"


class OwnAccount:
    """See ``providers.cloud.account.CloudAccount``. A server's reference is its own number: the machine serves many, one after another."""

    keeps_user_data = False

    def __init__(self, machines: OwnMachines) -> None:
        self.machines = machines
        self.visits = Visits(machines)

    async def order(self, order: Order) -> Machine:
        """Claim a free machine, unless the server has one."""
        return _seen(await self.machines.claim(order.spec))

    async def servers(self, *, fresh: bool = False) -> list[Machine]:
        """The claims; always as they are now."""
        del fresh
        return [_seen(machine) for machine in await self.machines.claims()]

    async def server(self, server_id: UUID) -> Machine | None:
        """By its claim."""
        machine = await self.machines.claimed(server_id)
        return None if machine is None else _seen(machine)

    async def power_on(self, machine: Machine) -> None:
        """Raises NotOursToDo."""
        raise NotOursToDo(f"nobody but its owner can switch {machine.host} on")

    async def power_off(self, machine: Machine) -> None:
        """Raises NotOursToDo."""
        raise NotOursToDo(
            f"the agent on {machine.host} is not heard of, and nobody but the machine's owner can switch it off; "
            "it stops OpenClaw when it is heard again"
        )

    async def reset(self, machine: Machine) -> None:
        """Raises NotOursToDo."""
        raise NotOursToDo(f"nobody but its owner can restart {machine.host}")

    async def rebuild(self, machine: Machine, start: FirstStart | None) -> None:
        """Raises NotOursToDo."""
        del start
        raise NotOursToDo(f"{machine.host} is a machine of your own and is not wiped; redeploy it without --in-place")

    async def remove(self, server_id: UUID) -> None:
        """Put the machine back, and only then give the claim up.

        Raises:
            ProviderUnavailable: something of ours is still there, or the machine does not answer.
            AnotherMachine: another machine answers.
        """
        machine = await self.machines.claimed(server_id)
        if machine is None:
            return
        await self.machines.releasing(server_id)
        if machine.begun_at is not None:
            await self._put_back(machine, server_id)
        await self.machines.give_up(server_id)
        log.info("own_server.released", own_server_id=str(machine.id), server_id=str(server_id))

    async def _put_back(self, machine: OwnMachine, server_id: UUID) -> None:
        try:
            await self.visits.put_back(machine)
        except ProviderError as error:
            await self.machines.stuck(server_id, str(error))
            raise

    async def holds(self, ref: str) -> bool:
        """Whether this server still has a machine."""
        try:
            return await self.machines.claimed(UUID(ref)) is not None
        except ValueError:
            return False

    async def trouble(self, ref: str) -> str | None:
        """None: it was up when it was claimed."""
        del ref

    async def belongings(self) -> list[Belonging]:
        """None: a claim is all there is."""
        return []

    async def give_back(self, belonging: Belonging) -> None:
        """A claim that nobody recorded."""
        await self.remove(belonging.server_id)

    def forget(self) -> None:
        """Nothing is remembered."""


def _seen(machine: OwnMachine) -> Machine:
    assert machine.server_id is not None  # noqa: S101 - only claims are servers
    return Machine(
        server_id=machine.server_id,
        instance_id=machine.instance_id,
        ref=str(machine.server_id),
        state=ServerState.RUNNING,
        host=machine.address,
        created_at=machine.claimed_at or utc_now(),
    )

"""The ``own`` provider: as every cloud's, on machines that the operator already has, set up over SSH as a guest."""

from uuid import UUID

from clawdeploy_provisioner.on_server.registry import AgentRegistry, Enrolment
from clawdeploy_provisioner.on_server.ssh.sessions import SshSessions
from clawdeploy_provisioner.providers.cloud.over_ssh import Site, SshCloudProvider
from clawdeploy_provisioner.providers.cloud.settings import CloudSettings
from clawdeploy_provisioner.providers.own.account import NotOursToDo, OwnAccount
from clawdeploy_provisioner.providers.own.machines import OwnMachine
from clawdeploy_provisioner.providers.protocol import Progress, ServerNotFound, ServerSpec

NAME = "own"


class OwnProvider(SshCloudProvider):
    """A machine lets its owner's key in, and is known by the host key it showed when it was looked at."""

    def __init__(
        self, settings: CloudSettings, *, account: OwnAccount, agents: AgentRegistry, ssh: SshSessions
    ) -> None:
        super().__init__(NAME, settings, account=account, agents=agents, ssh=ssh)
        self._own = account

    async def rebuild(self, spec: ServerSpec, progress: Progress) -> None:
        """Raises NotOursToDo, before anything is disarmed."""
        del progress
        raise NotOursToDo(f"server {spec.server_id} is on a machine of your own, which is not wiped")

    async def _expected(self, spec: ServerSpec) -> Enrolment:
        """Claimed first: the key that opens it is the machine's."""
        return await self._enrolled(spec.server_id, await self._own.machines.claim(spec))

    async def _enrolled(self, server_id: UUID, machine: OwnMachine) -> Enrolment:
        if machine.instance_id is None or machine.account_id is None:
            raise ServerNotFound(server_id)
        login = await self._own.machines.login(machine)
        enrolment = await self._agents.expect(
            server_id,
            instance_id=machine.instance_id,
            account_id=machine.account_id,
            ssh_key=login.private_key,
            ssh_user=login.user,
            ssh_port=login.port,
        )
        if login.host_key is not None:
            await self._ssh.logins.pin(server_id, login.host_key)
        return enrolment

    async def _site(self, server_id: UUID, progress: Progress) -> Site:
        """Look once more before anything is put there: what is there by then is the owner's."""
        machine = await self._own.machines.claimed(server_id)
        if machine is None or machine.memory_mb is None:
            raise ServerNotFound(server_id)
        if machine.begun_at is None:
            await progress(f"Looking whether {machine.name} can still take an agent")
            await self._own.visits.look(machine)
            await progress(f"Setting it up on {machine.name}")
        if not await self._own.machines.begin(server_id):
            raise ServerNotFound(server_id)
        return Site(
            server_id=server_id,
            host=machine.address,
            enrolment=await self._enrolled(server_id, machine),
            memory_mb=machine.memory_mb,
            guest=True,
        )

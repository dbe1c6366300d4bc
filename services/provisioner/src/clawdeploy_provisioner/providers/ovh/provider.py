"""The ``ovh`` provider: as every cloud's, save that a server has no user data and is set up over SSH."""

from uuid import UUID

from clawdeploy_provisioner.on_server.registry import AgentRegistry, Enrolment
from clawdeploy_provisioner.on_server.ssh.sessions import SshSessions
from clawdeploy_provisioner.on_server.ssh_keys import new_private_key, public_line
from clawdeploy_provisioner.providers.cloud.over_ssh import Site, SshCloudProvider
from clawdeploy_provisioner.providers.cloud.settings import CloudSettings
from clawdeploy_provisioner.providers.ovh.account import OvhAccount
from clawdeploy_provisioner.providers.ovh.orders import OrderRow
from clawdeploy_provisioner.providers.protocol import LastBill, Progress, ServerNotFound, ServerSpec


class OvhProvider(SshCloudProvider):
    """The order comes first; what follows happens when the server is installed, by the account's look-ups and over SSH."""

    def __init__(
        self, settings: CloudSettings, *, account: OvhAccount, agents: AgentRegistry, ssh: SshSessions, ssh_port: int
    ) -> None:
        super().__init__("ovh", settings, account=account, agents=agents, ssh=ssh)
        self._ovh = account
        self._ssh_port = ssh_port

    async def _expected(self, spec: ServerSpec) -> Enrolment:
        return await self._enrolled(spec.server_id, spec.instance_id, spec.account_id)

    async def _enrolled(self, server_id: UUID, instance_id: UUID, account_id: UUID) -> Enrolment:
        """The systems' own users are called after them: ``Debian 12`` lets ``debian`` in, who may become root."""
        return await self._agents.expect(
            server_id,
            instance_id=instance_id,
            account_id=account_id,
            ssh_key=new_private_key(),
            ssh_user=self._settings.image.split()[0].lower(),
            ssh_port=self._ssh_port,
        )

    async def _site(self, server_id: UUID, progress: Progress) -> Site:
        """Have the system installed with the deployment's key."""
        row = await self._ovh.orders.find(server_id)
        if row is None or row.service_name is None:
            raise ServerNotFound(server_id)
        await self._reinstalled(row, row.service_name, progress)
        return Site(
            server_id=server_id,
            host=await self._ovh.vps.address(row.service_name),
            enrolment=await self._enrolment_of(row),
            memory_mb=row.memory_mb,
        )

    async def last_bill(self, server_id: UUID) -> LastBill:
        """As its order ended."""
        row = await self._ovh.orders.find(server_id)
        return LastBill() if row is None else row.last_bill

    async def _reinstalled(self, row: OrderRow, name: str, progress: Progress) -> None:
        if row.reinstalled_at is not None:
            return
        await progress(f"Installing {self._settings.image} with the deployment's key")
        enrolment = await self._enrolment_of(row)
        await self._ovh.vps.reinstall(name, image=self._settings.image, public_key=public_line(enrolment.ssh_key))
        await self._ovh.vps.drained(name)
        await self._ssh.forget(row.server_id)
        await self._ssh.logins.unpin(row.server_id)
        await self._ovh.orders.reinstalled(row.server_id)

    async def _enrolment_of(self, row: OrderRow) -> Enrolment:
        labels = row.labels
        return await self._enrolled(
            row.server_id, UUID(labels["clawdeploy.instance"]), UUID(labels["clawdeploy.account"])
        )

"""The ``ovh`` provider: as every cloud's, save that a server has no user data and is set up over SSH."""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from uuid import UUID

from clawdeploy_provisioner.on_server.registry import AgentRegistry, Enrolment
from clawdeploy_provisioner.on_server.ssh.connecting import wait_for
from clawdeploy_provisioner.on_server.ssh.sessions import SshSessions
from clawdeploy_provisioner.on_server.ssh_keys import new_private_key, public_line
from clawdeploy_provisioner.on_server.user_data import START_BOOTSTRAP, files_of
from clawdeploy_provisioner.providers.cloud.provider import CloudProvider
from clawdeploy_provisioner.providers.cloud.settings import CloudSettings
from clawdeploy_provisioner.providers.ovh.account import OvhAccount
from clawdeploy_provisioner.providers.ovh.orders import OrderRow
from clawdeploy_provisioner.providers.protocol import (
    LastBill,
    Progress,
    ProviderUnavailable,
    Server,
    ServerNotFound,
    ServerSpec,
    ServerState,
)

_SSH_S = 300.0
_FILE_S = 60.0
_COMMAND_S = 120.0
_AGENT_S = 600.0
_LOOK_AGAIN_S = 0.5


class OvhProvider(CloudProvider):
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

    async def observe(self, server_id: UUID) -> Server | None:
        """A delivered server can be worked on: what the others' first start does is done by ``ensure_installed`` here."""
        server = await super().observe(server_id)
        return None if server is None else replace(server, reachable=server.state is ServerState.RUNNING)

    async def last_bill(self, server_id: UUID) -> LastBill:
        """As its order ended."""
        row = await self._ovh.orders.find(server_id)
        return LastBill() if row is None else row.last_bill

    async def ensure_installed(self, server_id: UUID, progress: Progress, *, channels: Collection[str] = ()) -> None:
        """Have the system installed with the deployment's key, put the files there over SFTP, start the bootstrap, wait for the agent.

        ``progress`` is fenced: a runner that has lost its lease learns it before each change.
        """
        agent = await self._agents.view(server_id)
        if agent is None or not agent.installed:
            row = await self._ovh.orders.find(server_id)
            if row is None or row.service_name is None:
                raise ServerNotFound(server_id)
            await self._reinstalled(row, row.service_name, progress)
            await self._bootstrapped(row, row.service_name, progress)
        await super().ensure_installed(server_id, progress, channels=channels)

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

    async def _bootstrapped(self, row: OrderRow, name: str, progress: Progress) -> None:
        server_id, host = row.server_id, await self._ovh.vps.address(name)
        await progress("Waiting for SSH")
        await wait_for(server_id, self._ssh.logins, seconds=_SSH_S, host=host)
        start = self._start(server_id, await self._enrolment_of(row), memory_mb=row.memory_mb)
        await progress("Setting up the server")
        async with self._ssh.to(server_id, host=host) as session:
            for file in files_of(start):
                mode = 0o600 if file.secret else 0o644
                await session.put(file.path, file.content.encode(), mode=mode, seconds=_FILE_S)
            for command in START_BOOTSTRAP:
                await session.run(command, seconds=_COMMAND_S, told=progress)
        await self._until_installed(server_id, progress)

    async def _enrolment_of(self, row: OrderRow) -> Enrolment:
        labels = row.labels
        return await self._enrolled(
            row.server_id, UUID(labels["clawdeploy.instance"]), UUID(labels["clawdeploy.account"])
        )

    async def _until_installed(self, server_id: UUID, progress: Progress) -> None:
        """Tell how far the agent says it is; raises ProviderUnavailable when it says nothing new for ten minutes."""
        told: str | None = None
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _AGENT_S
        while (agent := await self._agents.view(server_id)) is None or not agent.installed:
            detail = agent.heartbeat.gateway.detail if agent is not None and agent.heartbeat is not None else None
            if detail not in (None, told):
                told, deadline = detail, loop.time() + _AGENT_S
                await progress(str(detail))
            if loop.time() > deadline:
                raise ProviderUnavailable("the server's agent does not report", retry_after=10)
            await asyncio.sleep(_LOOK_AGAIN_S)

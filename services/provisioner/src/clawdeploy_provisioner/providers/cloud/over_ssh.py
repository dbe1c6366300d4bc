"""A provider whose servers have no user data: what they are given at their first start is put there over SSH."""

import asyncio
from abc import abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, replace
from uuid import UUID

from clawdeploy_provisioner.on_server.registry import Enrolment
from clawdeploy_provisioner.on_server.ssh.connecting import wait_for
from clawdeploy_provisioner.on_server.user_data import START_BOOTSTRAP, files_of
from clawdeploy_provisioner.providers.cloud.provider import CloudProvider
from clawdeploy_provisioner.providers.protocol import Progress, ProviderUnavailable, Server, ServerState

_SSH_S = 300.0
_FILE_S = 60.0
_COMMAND_S = 120.0
_AGENT_S = 600.0
_LOOK_AGAIN_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Site:
    """A server that lets us in and has nothing of ours on it; ``guest``: see FirstStart."""

    server_id: UUID
    host: str | None
    enrolment: Enrolment
    memory_mb: int
    guest: bool = False


class SshCloudProvider(CloudProvider):
    """What the others' first start does is done by ``ensure_installed`` here."""

    @abstractmethod
    async def _site(self, server_id: UUID, progress: Progress) -> Site:
        """Make the server ready to be set up; ``progress`` is fenced. Raises ServerNotFound."""
        ...

    async def observe(self, server_id: UUID) -> Server | None:
        """A delivered server can be worked on."""
        server = await super().observe(server_id)
        return None if server is None else replace(server, reachable=server.state is ServerState.RUNNING)

    async def ensure_installed(self, server_id: UUID, progress: Progress, *, channels: Collection[str] = ()) -> None:
        """Put the files there over SFTP, start the bootstrap, wait for the agent.

        ``progress`` is fenced: a runner that has lost its lease learns it before each change.
        """
        agent = await self._agents.view(server_id)
        if agent is None or not agent.installed:
            await self._bootstrapped(await self._site(server_id, progress), progress)
        await super().ensure_installed(server_id, progress, channels=channels)

    async def _bootstrapped(self, site: Site, progress: Progress) -> None:
        await progress("Waiting for SSH")
        await wait_for(site.server_id, self._ssh.logins, seconds=_SSH_S, host=site.host)
        start = replace(self._start(site.server_id, site.enrolment, memory_mb=site.memory_mb), guest=site.guest)
        await progress("Setting up the server")
        async with self._ssh.to(site.server_id, host=site.host) as session:
            for file in files_of(start):
                mode = 0o600 if file.secret else 0o644
                await session.put(file.path, file.content.encode(), mode=mode, seconds=_FILE_S)
            for command in START_BOOTSTRAP:
                await session.run(command, seconds=_COMMAND_S, told=progress)
        await self._until_installed(site.server_id, progress)

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

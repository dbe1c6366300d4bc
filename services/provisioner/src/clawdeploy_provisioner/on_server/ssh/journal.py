"""What OpenClaw writes on a server of its own: its unit's journal, read over SSH, redacted."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import UUID

from clawdeploy_common.redaction import Redactor
from clawdeploy_provisioner.on_server.registry import AgentRegistry
from clawdeploy_provisioner.on_server.ssh.errors import CommandFailed, NoSshLogin, SshUnavailable
from clawdeploy_provisioner.on_server.ssh.sessions import SshSessions

_JOURNAL = ("journalctl", "--unit", "openclaw.service", "--output", "cat", "--no-pager")
_READ_S = 20.0
_AGAIN_S = 5.0


class ServerJournal:
    """While a server cannot be reached, its agent's last word is shown instead, and that it is so."""

    def __init__(self, sessions: SshSessions, agents: AgentRegistry) -> None:
        self._sessions = sessions
        self._agents = agents

    async def last(self, server_id: UUID, *, count: int) -> list[str]:
        """The last ``count`` lines; raises HostKeyChanged."""
        if count <= 0:
            return []
        redactor = await self._redactor(server_id)
        try:
            async with self._sessions.to(server_id) as session:
                argv = [*_JOURNAL, "--lines", str(count)]
                lines = await session.run(argv, seconds=_READ_S, keep=count)
        except (SshUnavailable, NoSshLogin, CommandFailed) as error:
            return [*await self._told(server_id, count), f"[clawdeploy] {error}"]
        return [redactor.redact(line) for line in lines]

    async def follow(self, server_id: UUID) -> AsyncGenerator[str]:
        """New lines, over losses of the connection, until nobody is expected there; raises HostKeyChanged."""
        while await self._agents.is_expected(server_id):
            redactor = await self._redactor(server_id)
            try:
                async with (
                    self._sessions.to(server_id) as session,
                    aclosing(session.lines([*_JOURNAL, "--lines", "0", "--follow"])) as lines,
                ):
                    async for line in lines:
                        yield redactor.redact(line)
            except (SshUnavailable, CommandFailed) as error:
                yield f"[clawdeploy] {error}"
            except NoSshLogin:
                return
            await asyncio.sleep(_AGAIN_S)

    async def _redactor(self, server_id: UUID) -> Redactor:
        return Redactor(await self._agents.secrets_of(server_id))

    async def _told(self, server_id: UUID, count: int) -> list[str]:
        agent = await self._agents.view(server_id)
        return [] if agent is None or agent.heartbeat is None else agent.heartbeat.gateway.last_lines[-count:]

"""An agent's state on a server of its own, read and written over SSH by tar as the agent's user."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from uuid import UUID

from clawdeploy_provisioner.kept_state import tar
from clawdeploy_provisioner.kept_state.bridging import awaited, stepped
from clawdeploy_provisioner.kept_state.sieve import sieved
from clawdeploy_provisioner.on_server.ssh.errors import CommandFailed
from clawdeploy_provisioner.on_server.ssh.sessions import SshSessions

STATE = "/var/lib/openclaw/.openclaw"
_AS_AGENT = ("runuser", "-u", "openclaw", "--", "env", "LC_ALL=C")
_COUNT_S = 60.0


class SshState:
    """The workspace lies in the state folder; raises SshUnavailable and StateUnreadable."""

    def __init__(self, sessions: SshSessions) -> None:
        self._sessions = sessions

    async def size(self, server_id: UUID) -> int:
        """Bytes of its tar."""
        async with self._sessions.to(server_id) as session, _told():
            try:
                said = await session.run([*_AS_AGENT, *tar.counting(STATE)], seconds=_COUNT_S)
            except CommandFailed as error:
                if error.exit_status != 1:  # a running agent has removed a file meanwhile
                    raise
                said = error.last_lines
            return tar.counted("\n".join(said))

    async def read(self, server_id: UUID) -> AsyncGenerator[bytes]:
        """Its tar."""
        async with (
            self._sessions.to(server_id) as session,
            _told(),
            aclosing(session.output([*_AS_AGENT, *tar.packing(STATE)])) as packed,
            awaited(packed) as blocking,
            aclosing(stepped(sieved(blocking))) as chunks,
        ):
            async for chunk in chunks:
                yield chunk

    async def write(self, server_id: UUID, chunks: AsyncIterator[bytes]) -> None:
        """Into its folder."""
        async with self._sessions.to(server_id) as session, _told():
            await session.feed([*_AS_AGENT, *tar.unpacking(STATE)], chunks)


@asynccontextmanager
async def _told() -> AsyncGenerator[None]:
    """A program that was cut off may do better; one that ended with an error has said why."""
    try:
        yield
    except CommandFailed as error:
        if error.exit_status is None or error.exit_status < 0:
            raise
        raise tar.StateUnreadable("\n".join(error.last_lines)) from error

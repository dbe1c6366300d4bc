"""One shared connection per server, opened when somebody needs it and closed when nobody has for a while."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from uuid import UUID

import asyncssh
import structlog

from clawdeploy_provisioner.on_server.ssh.connecting import connect
from clawdeploy_provisioner.on_server.ssh.logins import Logins
from clawdeploy_provisioner.on_server.ssh.session import SshSession

log = structlog.get_logger()


class _Line:
    """A connection with those who use it, and the socket that leads through it."""

    def __init__(self, session: SshSession) -> None:
        self.session = session
        self.users = 0
        self.socket: Path | None = None
        self.idle: asyncio.TimerHandle | None = None


class SshSessions:
    """Reused while they last; ``idle_seconds`` after the last use a connection is closed."""

    def __init__(self, logins: Logins, *, idle_seconds: float = 60.0) -> None:
        self.logins = logins
        self._idle_seconds = idle_seconds
        self._lines: dict[UUID, _Line] = {}
        self._opening: defaultdict[UUID, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._closing: set[asyncio.Task[None]] = set()
        self._folder: Path | None = None

    @asynccontextmanager
    async def to(self, server_id: UUID, *, host: str | None = None) -> AsyncGenerator[SshSession]:
        """A session with the server.

        Raises:
            SshUnavailable, HostKeyChanged, NoSshLogin: there is none to be had.
        """
        async with self._line(server_id, host) as line:
            yield line.session

    @asynccontextmanager
    async def socket(self, server_id: UUID, port: int) -> AsyncGenerator[Path]:
        """A UNIX socket, ours alone, that leads to a port of the server's loopback address; raises as ``to``."""
        async with self._line(server_id, None) as line:
            async with self._opening[server_id]:
                if line.socket is None:
                    path = self._sockets() / f"{server_id.hex}-{id(line):x}"
                    await line.session.forward(path, port)
                    line.socket = path
            yield line.socket

    async def forget(self, server_id: UUID) -> None:
        """End the connection to a server that was reinstalled or is gone."""
        line = self._lines.pop(server_id, None)
        if line is not None:
            await _ended(line)
        self._opening.pop(server_id, None)

    async def close(self) -> None:
        """End all connections."""
        for server_id in list(self._lines):
            await self.forget(server_id)
        await asyncio.gather(*self._closing)
        if self._folder is not None:
            rmtree(self._folder, ignore_errors=True)

    @asynccontextmanager
    async def _line(self, server_id: UUID, host: str | None) -> AsyncGenerator[_Line]:
        line = await self._opened(server_id, host)
        line.users += 1
        if line.idle is not None:
            line.idle.cancel()
        try:
            yield line
        finally:
            line.users -= 1
            if line.users == 0:
                loop = asyncio.get_running_loop()
                line.idle = loop.call_later(self._idle_seconds, self._expire, server_id, line)

    async def _opened(self, server_id: UUID, host: str | None) -> _Line:
        async with self._opening[server_id]:
            line = self._lines.get(server_id)
            if line is None or line.session.is_closed:
                login = await self.logins.find(server_id, host=host)
                connection = await connect(server_id, login, self.logins)
                line = _Line(SshSession(connection, server_id=server_id, user=login.user))
                self._lines[server_id] = line
            return line

    def _sockets(self) -> Path:
        if self._folder is None:
            self._folder = Path(mkdtemp(prefix="clawdeploy-ssh-"))
        return self._folder

    def _expire(self, server_id: UUID, line: _Line) -> None:
        if line.users == 0:
            if self._lines.get(server_id) is line:
                del self._lines[server_id]
            task = asyncio.ensure_future(_ended(line))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


async def _ended(line: _Line) -> None:
    if line.idle is not None:
        line.idle.cancel()
    with suppress(OSError, asyncssh.Error):
        await line.session.close()
    if line.socket is not None:
        line.socket.unlink(missing_ok=True)

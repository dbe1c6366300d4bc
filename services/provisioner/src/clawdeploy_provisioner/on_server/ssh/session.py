"""One connection to one server: run a program, follow its lines, put a file, reach a port of its loopback address."""

import asyncio
import secrets
import shlex
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path, PurePosixPath
from uuid import UUID

import asyncssh

from clawdeploy_common.redaction import Redactor
from clawdeploy_provisioner.on_server.ssh.errors import CommandFailed, SshUnavailable

Told = Callable[[str], Awaitable[None]]
"""Takes one redacted line."""

_LAST_LINES = 20
LINE_LIMIT = 8_000
_PIECE = 262_144
_ROOT = "root"


class SshSession:
    """Programs run as root: directly, or by ``sudo`` where the login is another user's. Output is redacted here."""

    def __init__(
        self, connection: asyncssh.SSHClientConnection, *, server_id: UUID, user: str, redactor: Redactor | None = None
    ) -> None:
        self._connection = connection
        self._server_id = server_id
        self._sudo = () if user == _ROOT else ("sudo", "-n", "--")
        self.redactor = redactor or Redactor()

    @property
    def is_closed(self) -> bool:
        """Whether the connection has ended."""
        return self._connection.is_closed()

    async def run(
        self, argv: Sequence[str], *, seconds: float, told: Told | None = None, keep: int = _LAST_LINES
    ) -> list[str]:
        """Run a program to its end and answer its last ``keep`` lines; each line goes to ``told`` as it comes.

        Raises:
            CommandFailed: it ended with an error.
            SshUnavailable: the connection broke off, or it took longer than ``seconds``.
        """
        last: deque[str] = deque(maxlen=keep)
        try:
            async with asyncio.timeout(seconds):
                async with aclosing(self.lines(argv)) as lines:
                    async for line in lines:
                        last.append(line)
                        if told is not None:
                            await told(line)
        except TimeoutError:
            raise SshUnavailable(self._server_id, f"{argv[0]} took longer than {seconds:.0f} s") from None
        except CommandFailed as error:
            raise CommandFailed(argv[0], error.exit_status, list(last)[-_LAST_LINES:]) from None
        return list(last)

    async def lines(self, argv: Sequence[str]) -> AsyncGenerator[str]:
        """A program's lines, stdout and stderr together, as they are written; leaving early ends the program.

        Raises:
            CommandFailed: it ended with an error.
            SshUnavailable: the connection broke off.
        """
        command = shlex.join([*self._sudo, *argv])
        try:
            process = await self._connection.create_process(
                command, stdin=asyncssh.DEVNULL, stderr=asyncssh.STDOUT, encoding="utf-8", errors="replace"
            )
            try:
                while line := await process.stdout.readline():  # "" is the end
                    yield self.redactor.redact(line.rstrip("\r\n"))[:LINE_LIMIT]
                await process.wait_closed()
            finally:
                with suppress(OSError, asyncssh.Error):
                    process.terminate()
                process.close()
        except (OSError, asyncssh.Error) as error:
            raise SshUnavailable(self._server_id, type(error).__name__) from error
        if process.exit_status != 0:
            raise CommandFailed(argv[0], process.exit_status, [])

    async def output(self, argv: Sequence[str]) -> AsyncGenerator[bytes]:
        """What a program writes to stdout, as it is; leaving early ends the program.

        Raises:
            CommandFailed: it ended with an error.
            SshUnavailable: the connection broke off.
        """
        async with self._raw(argv, stdin=asyncssh.DEVNULL) as process:
            while chunk := await process.stdout.read(_PIECE):
                yield chunk

    async def feed(self, argv: Sequence[str], chunks: AsyncIterator[bytes]) -> None:
        """Give a program its stdin; raises as ``output``."""
        async with self._raw(argv, stdin=asyncssh.PIPE) as process:
            async for chunk in chunks:
                process.stdin.write(chunk)
                await process.stdin.drain()
            process.stdin.write_eof()

    @asynccontextmanager
    async def _raw(self, argv: Sequence[str], *, stdin: int) -> AsyncGenerator[asyncssh.SSHClientProcess[bytes]]:
        """A program whose streams are bytes; who leaves without an error waits for its end."""
        command = shlex.join([*self._sudo, *argv])
        try:
            process = await self._connection.create_process(command, stdin=stdin, encoding=None)
            try:
                yield process
                said = (await process.stderr.read(LINE_LIMIT)).decode(errors="replace")
                await process.wait_closed()
            finally:
                with suppress(OSError, asyncssh.Error):
                    process.terminate()
                process.close()
        except (OSError, asyncssh.Error) as error:
            raise SshUnavailable(self._server_id, type(error).__name__) from error
        if process.exit_status != 0:
            raise CommandFailed(argv[0], process.exit_status, self.redactor.redact(said).splitlines()[-_LAST_LINES:])

    async def put(self, path: str, content: bytes, *, mode: int, seconds: float) -> None:
        """Write a file as root's: over SFTP beside the login's home, then moved into place with its directories.

        Raises:
            SshUnavailable, CommandFailed: as ``run``.
        """
        upload = f".clawdeploy-{secrets.token_hex(8)}"
        try:
            async with asyncio.timeout(seconds), self._connection.start_sftp_client() as sftp:
                attributes = asyncssh.SFTPAttrs(permissions=0o600)
                async with sftp.open(upload, "xb", attributes) as file:
                    await file.write(content)
                home = await sftp.realpath(".")
                source = str(PurePosixPath(str(home)) / upload)
                await self.run(["install", "-D", "-m", f"{mode:04o}", source, path], seconds=seconds)
                await sftp.remove(upload)
        except (OSError, asyncssh.Error) as error:
            raise SshUnavailable(self._server_id, f"no file could be sent ({type(error).__name__})") from error

    async def forward(self, socket: Path, port: int) -> asyncssh.SSHListener:
        """Have a UNIX socket here lead to a port of the server's loopback address; raises SshUnavailable."""
        try:
            return await self._connection.forward_local_path_to_port(str(socket), "127.0.0.1", port)
        except (OSError, asyncssh.Error) as error:
            raise SshUnavailable(self._server_id, f"no tunnel ({type(error).__name__})") from error

    async def close(self) -> None:
        """End the connection, and what runs over it."""
        self._connection.close()
        await self._connection.wait_closed()

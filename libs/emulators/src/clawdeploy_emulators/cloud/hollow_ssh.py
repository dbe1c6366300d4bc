"""A hollow server that is set up over SSH: it lets its key in, takes files, and plays the on-server agent once its bootstrap is started."""

import asyncio
import json
import shlex
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from clawdeploy_emulators.cloud.hollow_agent import AGENT_FILE
from clawdeploy_emulators.cloud.machines import FirstBoot, Script

log = structlog.get_logger()

_BOOTSTRAP = "clawdeploy-bootstrap.service"
_PIECE = 65_536
_SUDO = ["sudo", "-n", "--"]
_AS_AGENT = ["runuser", "-u", "openclaw", "--", "env", "LC_ALL=C"]


class SshMachine:
    """``folder`` is its disk; what is run there does nothing, save ``install``, the start of the bootstrap, and tar."""

    def __init__(self, folder: Path, *, script: Script, port: int) -> None:
        self._folder = folder
        self._script = script
        self._port = port
        self._first = FirstBoot()
        self._listener: asyncssh.SSHAcceptor | None = None
        self._playing: asyncio.Task[None] | None = None

    async def boot(self, first: FirstBoot) -> None:
        """Come up; what an earlier run of the stand-in left on the disk is still there."""
        self._first = first
        await self.power_on()

    async def rebuild(self, first: FirstBoot) -> None:
        """Come up with an empty disk and another host key."""
        await self.delete()
        await self.boot(first)

    async def power_on(self) -> None:
        """Listen on the server's address, and go on with what was begun."""
        await self.power_off()
        (self._folder / "home").mkdir(parents=True, exist_ok=True)
        self._listener = await asyncssh.listen(
            self._first.address,
            self._port,
            server_factory=lambda: _Door(self._first.public_keys),
            server_host_keys=[self._host_key()],
            process_factory=self._run,
            sftp_factory=self._files,
            encoding=None,
        )
        if (self._folder / "started").exists():
            self._play()

    async def power_off(self) -> None:
        """Hear nothing, do nothing."""
        if self._playing is not None:
            self._playing.cancel()
            with suppress(asyncio.CancelledError):
                await self._playing
            self._playing = None
        if self._listener is not None:
            self._listener.close()
            await self._listener.wait_closed()
            self._listener = None

    async def delete(self) -> None:
        """Leave nothing."""
        await self.power_off()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _host_key(self) -> asyncssh.SSHKey:
        file = self._folder / "host_key"
        if not file.exists():
            key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
            file.write_bytes(key)
        return asyncssh.read_private_key(file)

    def _files(self, channel: asyncssh.SSHServerChannel[bytes]) -> asyncssh.SFTPServer:
        return asyncssh.SFTPServer(channel, chroot=str(self._folder / "home").encode())

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        argv = shlex.split(process.command or "")
        if argv[: len(_SUDO)] == _SUDO:
            argv = argv[len(_SUDO) :]
        if argv[: len(_AS_AGENT)] == _AS_AGENT:
            process.exit(await self._copied(argv[len(_AS_AGENT) :], process))
        else:
            process.exit(self._done(argv))

    async def _copied(self, argv: list[str], process: asyncssh.SSHServerProcess[bytes]) -> int:
        """The agent's files lie on its disk, and are copied by tar as anywhere."""
        place = argv.index("--directory") + 1
        folder = self._on_disk(argv[place])
        folder.mkdir(parents=True, exist_ok=True)
        here = [*argv[:place], str(folder), *argv[place + 1 :]]
        child = await asyncio.create_subprocess_exec(*here, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        pairs = (child.stdout, process.stdout), (child.stderr, process.stderr)
        await asyncio.gather(_fed(child, process.stdin), *(_pump(source, sink) for source, sink in pairs))
        return await child.wait()

    def _done(self, argv: Sequence[str]) -> int:
        match argv:
            case ["install", "-D", "-m", _, source, target]:
                path = self._on_disk(target)
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self._folder / "home" / source.lstrip("/"), path)
            case ["systemctl", "enable", *_, unit] if unit == _BOOTSTRAP:
                (self._folder / "started").touch()
                self._play()
            case _:
                pass
        return 0

    def _on_disk(self, path: str) -> Path:
        return self._folder / "root" / path.lstrip("/")

    def _play(self) -> None:
        """The agent reads what it would have found in its user data."""
        if self._playing is None:
            content = self._on_disk(AGENT_FILE).read_text()
            document = {"write_files": [{"path": AGENT_FILE, "content": content}]}
            user_data = f"#cloud-config\n{json.dumps(document)}"
            self._playing = asyncio.create_task(self._played(user_data))

    async def _played(self, user_data: str) -> None:
        try:
            await self._script(user_data, self._first.address)
        except Exception:
            log.warning("machine.script_failed", address=self._first.address, exc_info=True)


async def _fed(child: Process, source: Any) -> None:
    if child.stdin is not None:
        with suppress(BrokenPipeError, ConnectionResetError):  # a program need not read it all
            await _pump(source, child.stdin)
            child.stdin.write_eof()


async def _pump(source: Any, sink: Any) -> None:
    while piece := await source.read(_PIECE):
        sink.write(piece)
        await sink.drain()


class _Door(asyncssh.SSHServer):
    """Opens to the keys that the server was installed with."""

    def __init__(self, public_keys: Sequence[str]) -> None:
        self._keys = [asyncssh.import_public_key(key) for key in public_keys]

    def begin_auth(self, username: str) -> bool:
        del username
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        del username
        return key in self._keys

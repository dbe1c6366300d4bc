"""A machine of the operator's own: a hollow server on which the release program really runs, with the machine's folder as its root."""

import asyncio
import os
import shlex
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncssh

from clawdeploy_emulators.cloud.hollow_ssh import SshMachine
from clawdeploy_emulators.cloud.machines import FirstBoot, Script

_MOVED = {'ROOT = Path("/")': "ROOT = Path({root!r})", 'USER = "openclaw"': 'USER = "nobody-of-this-name"'}
_TOOLS = ("systemctl", "userdel", "apt-get", "dpkg-query")


class OwnMachine(SshMachine):
    """``disk`` is what is on it, ``tools`` all that the release program can run, ``reach`` is told what comes over SSH."""

    def __init__(self, folder: Path, *, script: Script, port: int, address: str) -> None:
        super().__init__(folder, script=script, port=port)
        self.address = address
        self.port = port
        self.disk = folder / "root"
        self._tools = folder / "tools"
        self._started = folder / "started"
        self.reach: Callable[[str], Awaitable[None]] = _nobody_watches

    async def come_up(self, public_key: str) -> None:
        """As its owner made it: systemd, a few tools, and something of the owner's."""
        (self.disk / "run/systemd/system").mkdir(parents=True)
        (self.disk / "home").mkdir()
        (self.disk / "home/photo").write_text("theirs")
        self._tools.mkdir()
        for name in _TOOLS:
            (self._tools / name).symlink_to("/bin/true")
        await self.boot(FirstBoot(address=self.address, public_keys=(public_key,)))

    def files(self) -> list[str]:
        """What is on it."""
        return sorted(str(path.relative_to(self.disk)) for path in self.disk.rglob("*") if path.is_file())

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        match shlex.split(process.command or ""):
            case ["sudo", "-n", "--", "python3", "-c", source, *options]:
                visit = "look" if options else "release"
                await self.reach(f"before {visit}")
                answer = await self._visited(source, options)
                await self.reach(f"after {visit}")
                process.stdout.write(answer)
                process.exit(self._status)
            case ["sudo", "-n", "--", program, *_]:
                await self.reach(f"before {program}")
                await super()._run(process)
            case _:
                await super()._run(process)

    async def _visited(self, source: str, options: list[str]) -> bytes:
        """Run the program on this machine's disk; what was put back plays no agent any more."""
        for here, there in _MOVED.items():
            assert here in source
            source = source.replace(here, there.format(root=str(self.disk)))
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", source, *options, env={"PATH": str(self._tools)}, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await child.communicate()
        self._status = child.returncode or os.EX_OK
        if not options and self._playing is not None:
            self._playing.cancel()
            self._playing = None
            self._started.unlink()
        return output


async def _nobody_watches(moment: str) -> None:
    del moment

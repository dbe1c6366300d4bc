"""A second Docker engine beside the run's, which a test may stop, start again and fill up; and an image of two megabytes for it."""

import asyncio
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
from pathlib import Path

from clawdeploy_cli.engines.leash import leashed
from clawdeploy_cli.engines.readiness import EngineNotReady, wait_until_ready
from tests.engines.debian import debian_package
from tests.engines.process import EngineProcess
from tests.engines.requirements import MissingOnThisMachine

SMALL_IMAGE = "clawdeploy/small-web:tests"
_SIZE = "192m"
_READY_SECONDS = 60
_APART = ["--bridge=none", "--iptables=false", "--default-address-pool=base=10.219.0.0/16,size=24"]
"""Leaves the machine's first engine its bridge and its firewall rules; ports published on loopback need neither."""


class SpareDocker:
    """The engine at ``url``; its data lie on a small file system of their own.

    Raises:
        MissingOnThisMachine: it cannot run here.
    """

    def __init__(self, folder: Path) -> None:
        if os.geteuid() != 0 or shutil.which("dockerd") is None or shutil.which("docker") is None:
            raise MissingOnThisMachine("needs root and Docker: apt-get install docker.io")
        folder.mkdir(parents=True)
        self._folder = folder
        self.data = folder / "data"
        self.data.mkdir()
        self.url = f"unix://{folder / 'docker.sock'}"
        places = {"data-root": self.data, "exec-root": folder / "exec", "pidfile": folder / "pid"}
        self._command = ["dockerd", "-H", self.url, *_APART, *(f"--{name}={place}" for name, place in places.items())]
        self._process = EngineProcess(log=folder / "dockerd.log")
        self._is_mounted = False

    async def start(self, *options: str) -> None:
        """Start it, on the data it has, and wait until it answers."""
        if not self._is_mounted:
            self._mount()
        self._process.start(leashed([*self._command, *options]), environment=dict(os.environ))

        async def answers() -> bool:
            return not (await asyncio.to_thread(docker, self.url, "version", check=False)).returncode

        try:
            await wait_until_ready("the spare Docker engine", answers, seconds=_READY_SECONDS)
        except EngineNotReady as error:
            raise MissingOnThisMachine(f"dockerd does not start here: {self._process.last_lines(5)}") from error

    def fill(self) -> None:
        """Leave no room on its disk."""
        free = shutil.disk_usage(self.data).free
        with (self.data / "filler").open("wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, free)

    def make_room(self) -> None:
        """The opposite."""
        (self.data / "filler").unlink()

    def stop(self) -> None:
        """End it in good order; its containers end with it."""
        self._process.stop(signal.SIGTERM, seconds=30)

    def kill(self) -> None:
        """End it as a crash does; what runs in its containers runs on.

        Its containerd ends with it, and where no init reaps the dead the next one would take that for alive.
        """
        self._process.kill()
        (self._folder / "exec" / "containerd" / "containerd.pid").unlink(missing_ok=True)

    def remove(self) -> None:
        """End it and forget its data."""
        self.stop()
        if self._is_mounted:
            subprocess.run(["umount", "-l", self.data], check=True)

    def _mount(self) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", self.data], check=True)
        self._is_mounted = True


def docker(url: str, *command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Do something at an engine."""
    return subprocess.run(["docker", "-H", url, *command], capture_output=True, text=True, check=check)


def make_small_image(url: str, *, tag: str = SMALL_IMAGE, ballast: int = 0) -> None:
    """A web server and its page alone (Debian's busybox-static), with so many bytes of ballast that do not compress."""
    busybox = debian_package("busybox-static") / "bin" / "busybox"
    command = ["/bin/busybox", "httpd", "-f", "-p", "80", "-h", "/www"]
    changes = ["LABEL clawdeploy.profile=light", f"CMD {json.dumps(command)}"]
    archive = _tar({"bin/busybox": busybox.read_bytes(), "www/index.html": b"hello", "ballast": os.urandom(ballast)})
    options = [word for change in changes for word in ("-c", change)]
    subprocess.run(["docker", "-H", url, "import", *options, "-", tag], input=archive, capture_output=True, check=True)


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()

"""Which engines there are, which image runs on them, and within which limits."""

import errno
import ipaddress
import re
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from clawdeploy_common.ids import new_id
from clawdeploy_provisioner.disk import write_atomically
from clawdeploy_provisioner.openclaw.version import OPENCLAW_VERSION
from clawdeploy_provisioner.providers.process.settings import reservations_home

OFFICIAL_IMAGE = f"ghcr.io/openclaw/openclaw:{OPENCLAW_VERSION}"
LOCAL_HOST = "local=unix:///var/run/docker.sock"
LOOPBACK = "127.0.0.1"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_KNOCK_SECONDS = 5.0
_SCHEMES = {"unix", "tcp", "ssh"}


@dataclass(frozen=True, kw_only=True)
class DockerHost:
    """One engine; its name is the region people choose."""

    name: str
    url: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``NAME=URL``; raises ValueError."""
        name, separator, url = text.strip().partition("=")
        if not separator or not _NAME.fullmatch(name) or urlsplit(url).scheme not in _SCHEMES:
            raise ValueError("a Docker host is NAME=URL, the URL beginning with unix://, tcp:// or ssh://")
        return cls(name=name, url=url)

    @property
    def is_local(self) -> bool:
        """Whether the engine runs on this machine: its bridges' addresses are ours too."""
        return urlsplit(self.url).scheme == "unix"

    def trouble(self) -> str | None:
        """Why its socket cannot be used, when that is so; the SDK leaves a socket of its own open for each time it finds that out."""
        if not self.is_local:
            return None
        path = urlsplit(self.url).path
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_KNOCK_SECONDS)
            refused = probe.connect_ex(path)
        if refused == errno.EACCES:
            return f"{path} may not be used by this process, which must be in the socket's group (DOCKER_GID of .env)"
        return f"there is no Docker engine at {self.url}" if refused else None

    def address(self) -> str:
        """Where its published ports answer, as an IP address; may look a name up.

        Raises:
            OSError: the name is unknown.
        """
        name = None if self.is_local else urlsplit(self.url).hostname
        return LOOPBACK if name is None else socket.gethostbyname(name)

    def our_address(self) -> str | None:
        """The address this machine reaches the engine's from; None for a local one, whose cells see their bridge's gateway."""
        if self.is_local or ipaddress.ip_address(self.address()).is_loopback:
            return None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((self.address(), 9))  # sends nothing
            return str(probe.getsockname()[0])


@dataclass(frozen=True, kw_only=True)
class DockerSettings:
    """Everything of the ``docker`` provider that is chosen.

    ``home`` holds the little this machine remembers.
    """

    hosts: tuple[DockerHost, ...]
    home: Path
    image: str = OFFICIAL_IMAGE
    port_first: int = 10_000
    port_last: int = 20_000
    reservations_dir: Path = field(default_factory=reservations_home)
    disk_minimum_bytes: int = 256_000_000
    restarts_allowed: int = 3
    restart_window_seconds: float = 300.0

    @cached_property
    def platform(self) -> str:
        """Tells the resources of two platforms on one engine apart: made once, then kept in the home."""
        file = self.home / "platform"
        if not file.exists():
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            mine = str(new_id())
            write_atomically(self.home, mine, mine.encode())
            with suppress(FileExistsError):  # another process was quicker
                file.hardlink_to(self.home / mine)
            (self.home / mine).unlink()
        return file.read_text()

    @property
    def ports(self) -> range:
        """Every host port a cell may have."""
        return range(self.port_first, self.port_last + 1)

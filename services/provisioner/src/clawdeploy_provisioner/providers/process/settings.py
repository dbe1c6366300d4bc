"""Where local agents live and within which limits."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import structlog

log = structlog.get_logger()

PORT_STRIDE = 120
"""OpenClaw derives base+2 and base+11..+110 from its port."""

_SHARED = Path("/var/lib/clawdeploy")


def reservations_home() -> Path:
    """Where ports and uids of every platform on this machine are written down, so that two platforms never take the same."""
    if os.geteuid() == 0:
        return _SHARED / "reservations"
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "clawdeploy"


@dataclass(frozen=True, kw_only=True)
class ProcessSettings:
    """Directories, ranges and limits of the ``process`` provider.

    As root every instance gets a uid of its own, from 60706 on: a range that neither people, nor systemd, nor Debian hand out
    (systemd's "Users, Groups, UIDs and GIDs"). Otherwise everything runs as the caller.
    """

    instances_dir: Path
    tools_dir: Path
    reservations_dir: Path = field(default_factory=reservations_home)
    port_first: int = 21_000
    port_count: int = 40
    own_uids: bool = field(default_factory=lambda: os.geteuid() == 0)
    uid_first: int = 60_706
    uid_count: int = 400
    disk_minimum_bytes: int = 256_000_000
    log_bytes: int = 5_000_000
    logs_kept: int = 3
    starts_at_once: int = field(default_factory=lambda: os.cpu_count() or 1)
    start_seconds: float = 90.0
    restarts_allowed: int = 3
    restart_window_seconds: float = 300.0

    @classmethod
    def located(cls, *, instances_dir: Path, tools_dir: Path, port_first: int = 21_000, port_count: int = 40) -> Self:
        """Settings for the configured directories, moved to where the instances' uids can reach them if need be."""
        return cls(
            instances_dir=reachable(instances_dir),
            tools_dir=reachable(tools_dir),
            port_first=port_first,
            port_count=port_count,
        )

    @property
    def ports(self) -> range:
        """The base port of every place an instance may have."""
        return range(self.port_first, self.port_first + self.port_count * PORT_STRIDE, PORT_STRIDE)

    @property
    def uids(self) -> range:
        """Every uid an instance may have."""
        return range(self.uid_first, self.uid_first + self.uid_count)


def reachable(directory: Path) -> Path:
    """``directory``, or, when we are root and other users cannot pass through its parents (``/root`` is 0700), a place where they can."""
    directory = directory.absolute()
    closed = _closed_parent(directory) if os.geteuid() == 0 else None
    if closed is None:
        return directory
    elsewhere = _SHARED / hashlib.sha256(str(directory).encode()).hexdigest()[:12] / directory.name
    log.warning("directory.moved", configured=str(directory), closed=str(closed), used=str(elsewhere))
    return elsewhere


def _closed_parent(directory: Path) -> Path | None:
    """The first folder on the way that other users may not enter."""
    for folder in reversed(directory.resolve().parents):
        if folder.exists() and not folder.stat().st_mode & 0o001:
            return folder
    return None

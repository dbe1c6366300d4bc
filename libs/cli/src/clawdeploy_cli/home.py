"""The folder that holds one platform: its data, logs, secrets and what it remembers."""

import hashlib
import os
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from clawdeploy_cli.errors import Refused, UsageProblem

MARKER = "clawdeploy-home"
TOOLS_VARIABLE = "CLAWDEPLOY_TOOLS_DIR"
_OUTSIDE = Path("/var/lib/clawdeploy")


@dataclass(frozen=True)
class Home:
    """Paths of one platform. Nothing is created before `ensure`."""

    path: Path

    @cached_property
    def logs(self) -> Path:
        return self.path / "logs"

    @cached_property
    def state_file(self) -> Path:
        return self.path / "run" / "state.json"

    @cached_property
    def prometheus_targets(self) -> Path:
        """Who Prometheus may scrape here."""
        return self.path / "prometheus-targets.json"

    @cached_property
    def lock_file(self) -> Path:
        return self.path / "run" / "supervisor.lock"

    @cached_property
    def warm_parent(self) -> Path:
        """The socket of the process that services are forked from."""
        return self.path / "run" / "warm-parent"

    @cached_property
    def secrets_file(self) -> Path:
        return self.path / "secrets.json"

    @cached_property
    def ports_file(self) -> Path:
        return self.path / "ports.json"

    @cached_property
    def stand_in(self) -> Path:
        """Where the OpenRouter stand-in keeps its keys and ledger."""
        return self.path / "openrouter-stand-in"

    @cached_property
    def runtime_dir(self) -> Path:
        """XDG_RUNTIME_DIR of the platform's processes (0700)."""
        return self.path / "run" / "xdg"

    @cached_property
    def shared(self) -> Path:
        """Where what other users of this machine must reach lies: instances (as root each has a uid of its own) and tools.

        That is the home itself, unless a folder above it is closed to other users and we are root.
        """
        if os.geteuid() != 0 or untraversable(self.path.parent) is None:
            return self.path
        return _OUTSIDE / hashlib.sha256(str(self.path).encode()).hexdigest()[:12]

    @cached_property
    def instances(self) -> Path:
        return self.shared / "instances"

    @cached_property
    def tools(self) -> Path:
        """Where OpenClaw is installed; CLAWDEPLOY_TOOLS_DIR names a folder that several platforms share."""
        given = os.environ.get(TOOLS_VARIABLE)
        return Path(given).absolute() if given else self.shared / "tools"

    @property
    def exists(self) -> bool:
        return (self.path / MARKER).is_file()

    def ensure(self) -> None:
        """Create the home: closed to others, save that root's lets other users pass through (never list) to their own folders.

        Raises:
            Refused: the folder is there, is not empty and is not a home of ours.
        """
        if self.path.is_dir() and not self.exists and any(self.path.iterdir()):
            raise Refused(f"{self.path} is not empty and not a ClawDeploy home.", hint="Set CLAWDEPLOY_HOME.")
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(_home_mode())
        self._ensure_shared()
        for folder in (self.logs, self.state_file.parent, self.runtime_dir, self.stand_in):
            folder.mkdir(mode=0o700, exist_ok=True)
        (self.path / MARKER).write_text("This folder holds a ClawDeploy platform. `claw clean` removes it.\n")

    def _ensure_shared(self) -> None:
        self.shared.mkdir(parents=True, exist_ok=True)
        for folder in (self.shared, self.instances, self.tools):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755 if folder == self.tools else _home_mode())


def _home_mode() -> int:
    return 0o711 if os.geteuid() == 0 else 0o700


def open_home(path: Path) -> Home:
    """The home at this path, made absolute.

    Raises:
        UsageProblem: the path is a file, the root folder or a person's own home folder.
    """
    resolved = path.expanduser().resolve()
    if resolved in (Path("/"), Path.home()) or resolved.is_file():
        raise UsageProblem(
            f"{resolved} cannot be a ClawDeploy home.", hint="Set CLAWDEPLOY_HOME to a folder of its own."
        )
    return Home(resolved)


def untraversable(path: Path) -> Path | None:
    """The first folder on the way to `path` that other users may not pass through; None when all are open."""
    for folder in [*reversed(path.parents), path]:
        if folder.exists() and not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None

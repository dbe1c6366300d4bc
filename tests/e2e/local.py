"""A whole local platform for a test: its own home, port and folder, driven by `claw` as a person does."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from clawdeploy_provisioner.providers.process.settings import reachable
from tests.e2e.openclaw import TOOLS
from tests.engines.ports import free_ports
from tests.engines.shared import FOLDER_VARIABLE

CLAW = Path(sys.executable).with_name("claw")


class Local:
    """One platform with its own home and port; ``more`` is added to what its commands find in their environment."""

    within_s: float = 280
    """How long a command may take."""

    def __init__(self, folder: Path, *, more: Mapping[str, str] = MappingProxyType({})) -> None:
        folder.mkdir()
        self.folder = folder
        self._more = more
        [self.port] = free_ports(1)

    @property
    def environment(self) -> dict[str, str]:
        """What `claw` is run with: nothing of this machine's settings."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        own = {"CLAWDEPLOY_HOME": str(self.folder / "home"), "CLAWDEPLOY_PORT": str(self.port)}
        own["CLAWDEPLOY_PROVIDERS"] = "process"  # whatever engine this machine has
        return {**kept, **own, "CLAWDEPLOY_TOOLS_DIR": str(reachable(TOOLS)), **self._more}

    def claw(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        command = [str(CLAW), *arguments]
        return subprocess.run(
            command,
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=self.within_s,
            check=False,
        )

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command, without waiting for its end."""
        command = [str(CLAW), *arguments]
        return subprocess.Popen(command, env=self.environment, cwd=self.folder, stdout=subprocess.DEVNULL)

    def services(self) -> dict[str, dict[str, Any]]:
        """`claw status --json`, by name."""
        answered = json.loads(self.claw("status", "--json").stdout)
        return {service["name"]: service for service in answered["services"]}

    def supervisor(self) -> int:
        """Pid of the supervisor."""
        return json.loads(self.record.read_text())["supervisor"]["pid"]

    @property
    def record(self) -> Path:
        """Where the supervisor writes what it knows."""
        return self.folder / "home" / "run" / "state.json"


def open_folder() -> Path:
    """A new folder that other users can pass through; pytest's own is closed again by every other run of this machine."""
    folder = Path(tempfile.mkdtemp(dir=os.environ[FOLDER_VARIABLE], prefix="platform-"))
    folder.chmod(0o711)
    return folder


def until(condition: Callable[[], bool], *, seconds: float = 150) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.3)

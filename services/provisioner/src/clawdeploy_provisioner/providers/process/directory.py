"""One server's directory.

::

    <instances>/<server id>/     ours, 0711 as root (others may pass, not list), else 0700
        server.json              what we remember, 0600
        environment.json         the agent's secrets, 0600: a restart needs them when nobody is there to open them again
        ready                    names the process that has finished starting
        logs/gateway.log         what the gateway writes to stdout and stderr; rotated by us, shown by ``logs``
        state/                   the agent's, 0700: openclaw.json, databases, plugins
        home/                    the agent's, 0700: HOME, and OpenClaw's own JSON log, which its ``logs.tail`` and web page show
        workspace/               the agent's, 0700: its files
        tmp/                     the agent's, 0700: TMPDIR, the compile cache, OpenClaw's locks

The agent's folders lie directly in ours, so that root never follows a path through a folder the agent can rearrange.
"""

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clawdeploy_provisioner.disk import write_atomically
from clawdeploy_provisioner.openclaw.environment import for_instance
from clawdeploy_provisioner.providers.process.record import Launch, ServerRecord

_RECORD = "server.json"
_ENVIRONMENT = "environment.json"
_READY = "ready"
CONFIG = "openclaw.json"


@dataclass(frozen=True)
class ServerDirectory:
    """Paths and files of one server; every method is quick, blocking file work."""

    path: Path

    @property
    def state(self) -> Path:
        """OPENCLAW_STATE_DIR."""
        return self.path / "state"

    @property
    def home(self) -> Path:
        """HOME of the agent."""
        return self.path / "home"

    @property
    def workspace(self) -> Path:
        """The agent's working files."""
        return self.path / "workspace"

    @property
    def temporary(self) -> Path:
        """TMPDIR of the agent."""
        return self.path / "tmp"

    @property
    def log(self) -> Path:
        """stdout and stderr of the gateway."""
        return self.path / "logs" / "gateway.log"

    @property
    def own_log(self) -> Path:
        """OpenClaw's structured log."""
        return self.home / "openclaw.log"

    def create(self, record: ServerRecord) -> None:
        """Make the folders that are missing, then the record: a directory with a record is complete."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700 if record.uid is None else 0o711)
        self.log.parent.mkdir(mode=0o700, exist_ok=True)
        for folder in (self.state, self.home, self.workspace, self.temporary):
            folder.mkdir(mode=0o700, exist_ok=True)
            if record.owner is not None:
                os.chown(folder, *record.owner, follow_symlinks=False)
        self.write(record)

    def read(self) -> ServerRecord | None:
        """The record; None when there is no complete directory."""
        try:
            return ServerRecord.model_validate_json((self.path / _RECORD).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, record: ServerRecord) -> None:
        """Replace the record."""
        write_atomically(self.path, _RECORD, record.model_dump_json(indent=1).encode())

    def read_secrets(self) -> dict[str, str]:
        """The agent's secrets by variable; none before a configuration was written."""
        try:
            return json.loads((self.path / _ENVIRONMENT).read_bytes())
        except FileNotFoundError:
            return {}

    def write_configuration(self, text: bytes, *, secrets: dict[str, str], owner: tuple[int, int] | None) -> None:
        """Replace ``openclaw.json`` and the secrets it names; the secrets first, so that no configuration names a missing one."""
        write_atomically(self.path, _ENVIRONMENT, json.dumps(secrets).encode())
        write_atomically(self.state, CONFIG, text, owner=owner)

    def mark_ready(self, launch: Launch) -> None:
        """Remember that this launch has finished starting; a file of its own, so that watching needs no lock."""
        with suppress(FileNotFoundError):  # removed meanwhile
            write_atomically(self.path, _READY, _name(launch))

    def is_ready(self, launch: Launch | None) -> bool:
        """Whether this launch has been seen ready."""
        try:
            return launch is not None and (self.path / _READY).read_bytes() == _name(launch)
        except FileNotFoundError:
            return False

    def environment(self, search_path: str) -> dict[str, str]:
        """The environment of everything that runs for the agent, without its secrets."""
        return for_instance(home=self.home, state=self.state, temporary=self.temporary, search_path=search_path)

    def remove(self) -> None:
        """Remove it with everything in it; rmtree does not follow links and does not leave the tree."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self.path)


def _name(launch: Launch) -> bytes:
    return f"{launch.boot_id} {launch.pid} {launch.start_ticks}".encode()

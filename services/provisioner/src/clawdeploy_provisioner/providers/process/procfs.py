"""What Linux says about processes (proc(5))."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, kw_only=True)
class Process:
    """A living process; pid and ``start_ticks`` together name it for as long as the machine is up."""

    pid: int
    parent: int
    uid: int
    start_ticks: int
    resident_bytes: int


def boot_id() -> str:
    """Changes with every boot of the machine."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def living() -> dict[int, Process]:
    """Every process that is not a zombie, ourselves left out."""
    own = os.getpid()
    found = (read(int(name)) for name in os.listdir(_PROC) if name.isdigit() and int(name) != own)  # noqa: PTH208 - names are enough
    return {process.pid: process for process in found if process is not None}


def read(pid: int) -> Process | None:
    """The process, or None when it has ended (a zombie has)."""
    try:
        uid = (_PROC / str(pid)).stat().st_uid
        # The second field is the name in parentheses, and may hold any character; count from the last parenthesis.
        fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] in "ZX" and int(fields[17]) <= 1:  # a dead leader whose other threads still end holds its ports
        return None
    return Process(
        pid=pid,
        parent=int(fields[1]),
        uid=uid,
        start_ticks=int(fields[19]),
        resident_bytes=max(0, int(fields[21])) * _PAGE,
    )


def environment(pid: int) -> dict[str, str]:
    """The environment a process was started with; empty when it has ended or is not ours to read."""
    try:
        raw = (_PROC / str(pid) / "environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return {}
    pairs = (entry.partition("=") for entry in raw.decode(errors="replace").split("\0") if "=" in entry)
    return {name: value for name, _, value in pairs}


def arguments(pid: int) -> list[str]:
    """argv as the process shows it; empty when it has ended."""
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def with_descendants(roots: set[int], processes: dict[int, Process]) -> set[int]:
    """``roots`` and everything that descends from them."""
    found: set[int] = set()
    while more := {p.pid for p in processes.values() if p.pid in roots or p.parent in found | roots} - found:
        found |= more
    return found


def uids() -> Iterator[int]:
    """The uid of every process, zombies included."""
    for name in os.listdir(_PROC):  # noqa: PTH208 - names are enough
        if name.isdigit():
            try:
                yield (_PROC / name).stat().st_uid
            except FileNotFoundError:
                continue

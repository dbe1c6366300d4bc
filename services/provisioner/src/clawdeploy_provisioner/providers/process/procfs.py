"""What Linux says about processes (proc(5))."""

import os
from collections.abc import Iterable, Iterator
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
    return _read_all(_pids())


def owned_by(uid: int) -> dict[int, Process]:
    """The living processes of one uid; much cheaper than ``living``, which reads every process of the machine."""
    return _read_all(pid for pid in _pids() if _uid_of(pid) == uid)


def _read_all(pids: Iterable[int]) -> dict[int, Process]:
    found = (read(pid) for pid in pids if pid != os.getpid())
    return {process.pid: process for process in found if process is not None}


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir(_PROC) if name.isdigit())  # noqa: PTH208 - names are enough


def _uid_of(pid: int) -> int | None:
    try:
        return os.stat(f"{_PROC}/{pid}").st_uid  # noqa: PTH116 - a Path for each process of the machine would cost more
    except FileNotFoundError:
        return None


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


def uids() -> set[int]:
    """The uids that have a process, zombies included."""
    return {uid for pid in _pids() if (uid := _uid_of(pid)) is not None}

"""Processes named so that a recycled pid is never mistaken for the one that was meant (Linux `/proc`)."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_STATE_FIELD, _START_FIELD = 2 - 2, 21 - 2  # counted after "pid (comm) ", see proc_pid_stat(5) fields 3 and 22


@dataclass(frozen=True, kw_only=True)
class ProcessIdentity:
    """A process for good: pid, the clock tick it started at, and the boot those ticks count from."""

    pid: int
    started_ticks: int
    boot_id: str


def boot_id() -> str:
    """The kernel's id of this boot; ticks of another boot mean nothing."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> ProcessIdentity | None:
    """Identity of a live process; None when there is none of that pid, or only its zombie."""
    fields = _stat_fields(pid)
    if fields is None or fields[_STATE_FIELD] in "ZX":
        return None
    return ProcessIdentity(pid=pid, started_ticks=int(fields[_START_FIELD]), boot_id=boot_id())


def is_alive(identity: ProcessIdentity) -> bool:
    """Whether exactly this process still runs."""
    return identify(identity.pid) == identity


def send_signal(identity: ProcessIdentity, number: signal.Signals) -> bool:
    """Signal exactly this process; False when it is gone."""
    if not is_alive(identity):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(identity.pid, number)
        return True
    return False


def stop_all(identities: list[ProcessIdentity], *, grace_s: float, first: signal.Signals = signal.SIGTERM) -> None:
    """Ask each of these processes to end, KILL what is left after `grace_s` seconds, and return when all are gone."""
    for identity in identities:
        send_signal(identity, first)
    if not wait_gone(identities, timeout_s=grace_s):
        for identity in identities:
            send_signal(identity, signal.SIGKILL)
        wait_gone(identities, timeout_s=5)


def wait_gone(identities: list[ProcessIdentity], *, timeout_s: float) -> bool:
    """Wait until none of these processes runs; False when one still does after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while any(is_alive(identity) for identity in identities):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def environments() -> Iterator[tuple[int, dict[str, str]]]:
    """Pid and environment of every process this user may look at."""
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield int(entry.name), _parse_environment((entry / "environ").read_bytes())


def _parse_environment(raw: bytes) -> dict[str, str]:
    pairs = (item.partition("=") for item in raw.decode(errors="replace").split("\0") if "=" in item)
    return {name: value for name, _, value in pairs}


def _stat_fields(pid: int) -> list[str] | None:
    try:
        stat = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    return stat.rpartition(")")[2].split()

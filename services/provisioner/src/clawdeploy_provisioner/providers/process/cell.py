"""The processes of one server: found by uid, by the marker in their environment and by descent."""

import os
import resource
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from clawdeploy_provisioner.providers.process import procfs
from clawdeploy_provisioner.providers.process.procfs import Process
from clawdeploy_provisioner.providers.process.record import Launch

SERVER_VARIABLE = "CLAWDEPLOY_SERVER_ID"
DIRECTORY_VARIABLE = "CLAWDEPLOY_SERVER_DIRECTORY"

_THREADS_ALLOWED = 2048
"""RLIMIT_NPROC counts threads; a gateway with its helpers has about 50."""
_KILL_ROUNDS = 100
_FIRST_TO_GO = 500
"""oom_score_adj: when the machine runs out of memory, an agent goes before the platform's own database."""

_children: dict[tuple[int, int], "subprocess.Popen[bytes]"] = {}
"""Gateways this very process has started; they outlive it, but while it lives they are its to reap."""


@dataclass(frozen=True)
class Cell:
    """What belongs to one server; ``uid`` is its own, or None when it shares the caller's or is not known any more."""

    server_id: str
    directory: Path
    uid: int | None

    @property
    def marker(self) -> dict[str, str]:
        """What every process of the cell carries in its environment."""
        return {SERVER_VARIABLE: self.server_id, DIRECTORY_VARIABLE: str(self.directory)}

    def members(self) -> dict[int, Process]:
        """Every living process of the cell, as far as its uid or its marker shows."""
        _reap()
        if self.uid is not None:
            return procfs.owned_by(self.uid)
        processes = procfs.living()
        marked = {pid for pid in processes if self._is_marked(pid)}
        return {pid: processes[pid] for pid in procfs.with_descendants(marked, processes)}

    def _is_marked(self, pid: int) -> bool:
        return self.marker.items() <= procfs.environment(pid).items()

    def gateway(self, launch: Launch | None) -> Process | None:
        """The gateway itself, while it lives: the recorded process, else one that carries the marker and looks like it."""
        if launch is not None and launch.boot_id == procfs.boot_id():
            process = procfs.read(launch.pid)
            if process is not None and process.start_ticks == launch.start_ticks:
                return process
        members = self.members()
        marked = (p for p in members.values() if p.parent not in members and self._is_marked(p.pid))
        return next((p for p in marked if _is_gateway(p.pid)), None)

    def launch(
        self, argv: list[str], *, environment: dict[str, str], log: Path, directory: Path, automatic: bool
    ) -> Launch:
        """Start the gateway in a session of its own, so that it lives on when we end."""
        with log.open("ab") as output:
            os.fchmod(output.fileno(), 0o600)
            child = subprocess.Popen(  # noqa: S603 - argv is ours
                argv,
                cwd=directory,
                env=environment | self.marker,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                user=self.uid,
                group=self.uid,
                extra_groups=None if self.uid is None else [],
                umask=0o077,
            )
        self._limit(child.pid)
        process = procfs.read(child.pid)
        ticks = 0 if process is None else process.start_ticks
        _children[child.pid, ticks] = child
        return Launch(
            pid=child.pid,
            start_ticks=ticks,
            boot_id=procfs.boot_id(),
            started_at=datetime.now(UTC),
            automatic=automatic,
        )

    def _limit(self, pid: int) -> None:
        """No core dumps (they hold secrets), no fork bombs; children inherit both."""
        with suppress(ProcessLookupError, PermissionError):
            resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
            if self.uid is not None:
                resource.prlimit(pid, resource.RLIMIT_NPROC, (_THREADS_ALLOWED, _THREADS_ALLOWED))
            Path(f"/proc/{pid}/oom_score_adj").write_text(str(_FIRST_TO_GO))

    def terminate(self, launch: Launch | None) -> None:
        """Ask the gateway, and only it, to end; its helpers end with it."""
        process = self.gateway(launch)
        if process is not None:
            _send(process.pid, signal.SIGTERM)

    def kill(self) -> bool:
        """Kill everything in the cell; True when nothing is left alive.

        The first round takes descendants too, which may run under another uid by a setuid program; a process that forks meanwhile
        is met in a later round.
        """
        condemned = procfs.with_descendants(set(self.members()), procfs.living())
        for _ in range(_KILL_ROUNDS):
            for pid in condemned:
                _send(pid, signal.SIGKILL)
            condemned = set(self.members())
            if not condemned:
                return True
            time.sleep(0.02)
        return False


def exit_code(launch: Launch | None) -> int | None:
    """How a launch ended, when it was ours to reap; negative for a signal."""
    child = None if launch is None else _children.get((launch.pid, launch.start_ticks))
    return None if child is None else child.poll()


def resident_bytes(members: dict[int, Process]) -> int:
    """Memory of the whole cell: the sum of its processes' resident sets, shared pages counted for each."""
    return sum(process.resident_bytes for process in members.values())


def marked_directories() -> dict[Path, str]:
    """Directory → server id of every process on the machine that carries a marker we may read."""
    environments = (procfs.environment(pid) for pid in procfs.living())
    return {
        Path(e[DIRECTORY_VARIABLE]): e[SERVER_VARIABLE]
        for e in environments
        if e.keys() >= {DIRECTORY_VARIABLE, SERVER_VARIABLE}
    }


def _is_gateway(pid: int) -> bool:
    """OpenClaw renames its process once it runs; before that it is node with the command line we gave it."""
    arguments = procfs.arguments(pid)
    return arguments[:1] == ["openclaw-gateway"] or arguments[-2:] == ["gateway", "run"]


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _reap() -> None:
    for child in _children.values():
        child.poll()

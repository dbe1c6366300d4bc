"""Processes that a warm parent forks for the supervisor: its own children, as if it had started them itself."""

import asyncio
import ctypes
import json
import os
import signal
import socket
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from clawdeploy_cli.supervisor.doorway import doorway
from clawdeploy_cli.supervisor.spec import Check

PR_SET_CHILD_SUBREAPER = 36
"""The number of that option in linux/prctl.h."""
_ANSWER_S = 10.0
_one_at_a_time = threading.Lock()


class NotForked(Exception):
    """The warm parent ended before it had forked, or is not there."""


class Forked:
    """A running child; the part of `asyncio.subprocess.Process` that supervision needs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._loop = asyncio.get_running_loop()
        self._exit_code: asyncio.Future[int] = self._loop.create_future()
        self._pidfd = os.pidfd_open(pid)
        self._loop.add_reader(self._pidfd, self._reap)

    @property
    def returncode(self) -> int | None:
        """Its exit code, the negative number of the signal that ended it, or None while it runs."""
        return self._exit_code.result() if self._exit_code.done() else None

    async def wait(self) -> int:
        """Return `returncode` when it has ended."""
        return await asyncio.shield(self._exit_code)

    def send_signal(self, number: int) -> None:
        """Signal it, if it runs; its pid is nobody else's before it is reaped."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it now."""
        self.send_signal(signal.SIGKILL)

    def _reap(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        _, status = os.waitpid(self.pid, 0)
        self._exit_code.set_result(os.waitstatus_to_exitcode(status))


async def fork(path: Path, *, argv: Sequence[str], environment: Mapping[str, str], log: int) -> Forked:
    """Have the warm parent at this socket fork `argv` (an interpreter, `-m`, a module, its arguments), writing to the descriptor `log`.

    Raises:
        NotForked: it ended meanwhile.
        OSError: nobody is at the socket, or does not answer within ten seconds.
    """
    read, write = os.pipe()
    with os.fdopen(write, "wb", buffering=0) as certificate:
        child = Forked(await asyncio.to_thread(_ask, path, os.dup(log), read))
        told = {"parent": os.getpid(), "argv": list(argv), "environment": dict(environment)}
        with suppress(BrokenPipeError):  # it has ended already: `wait` tells how
            certificate.write(json.dumps(told).encode())
    return child


def is_there(path: Path) -> Check:
    """Ready when a warm parent answers at this socket."""

    async def check() -> bool:
        with suppress(OSError), _connected(path):
            return True
        return False

    return check


def _ask(path: Path, log: int, certificate: int) -> int:
    """The new process's pid. It is our child then: orphans below us come to us while it is being made (prctl(2))."""
    try:
        with _one_at_a_time, _adopting(), _connected(path) as connection:
            socket.send_fds(connection, [b"!"], [log, certificate])
            answer = b"".join(iter(lambda: connection.recv(32), b""))
    finally:
        os.close(certificate)
        os.close(log)
    if not answer:
        raise NotForked("the warm parent ended")
    return int(answer)


@contextmanager
def _connected(path: Path) -> Generator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, doorway(path) as address:
        connection.settimeout(_ANSWER_S)
        connection.connect(address)
        yield connection


@contextmanager
def _adopting() -> Generator[None]:
    """Only for that moment: agents that outlive the provisioner stay the machine's."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)

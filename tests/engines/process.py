"""A leashed engine process that a test can stop, kill and start again."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class EngineProcess:
    """At most one process at a time, writing to one log file.

    Start it from the main thread: the leash ties it to the thread that started it.
    """

    def __init__(self, *, log: Path) -> None:
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id; an error when nothing runs."""
        if self._process is None or self._process.poll() is not None:
            raise ProcessLookupError(f"no process runs; its last lines: {self.last_lines()}")
        return self._process.pid

    def start(self, command: Sequence[str], *, environment: Mapping[str, str]) -> None:
        """Start the process; its output goes to the end of the log."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def send(self, number: signal.Signals) -> None:
        """Signal the process, such as SIGSTOP and SIGCONT."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self, number: signal.Signals, *, seconds: float = 20) -> None:
        """Signal the process and wait for its end; SIGKILL after `seconds`. Does nothing when it is gone."""
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it as `kill -9` does, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def last_lines(self, count: int = 20) -> str:
        """Give the end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:]) if self.log.exists() else ""

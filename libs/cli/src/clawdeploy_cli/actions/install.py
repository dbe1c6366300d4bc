"""Installing OpenClaw ahead of the first deploy, beside the platform's start."""

import subprocess
import sys
import threading

from clawdeploy_cli.errors import Failed
from clawdeploy_cli.home import Home
from clawdeploy_cli.supervisor.environment import base_environment, outside_environment

MODULE = "clawdeploy_provisioner.openclaw.install"
_KEPT_LINES = 20
_BEGUN = "installing"


class Installation:
    """The installer as it runs; `line` is what it said last."""

    def __init__(self, home: Home) -> None:
        self.line = _BEGUN
        self._lines: list[str] = []
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", MODULE],
            env={**base_environment(home), **outside_environment(), "CLAWDEPLOY_TOOLS_DIR": str(home.tools)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def is_done(self) -> bool:
        """Whether OpenClaw is installed.

        Raises:
            Failed: the installer gave up; the message has its last lines.
        """
        code = self._process.poll()
        if code is None:
            return False
        self._reader.join()
        if code == 0 and self.line == _BEGUN:
            self.line = "installed"  # it was already, so that there was nothing to say
        if code != 0:
            lines = "\n".join(f"  {line}" for line in self._lines)
            raise Failed(f"OpenClaw could not be installed:\n{lines}", hint="It needs npm's registry: see claw doctor")
        return True

    def stop(self) -> None:
        """End the installer, when it still runs; it goes on from there the next time."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        for line in self._process.stdout:
            if line.strip():
                self.line = line.strip()
                self._lines = [*self._lines, self.line][-_KEPT_LINES:]

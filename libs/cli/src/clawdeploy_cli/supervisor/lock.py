"""One supervisor per home."""

import fcntl
import os
import time
from pathlib import Path

GLANCE_S = 1.0
"""Longer than anybody holds the lock only to see whether it is free."""

_PAUSE_S = 0.02


class HomeIsSupervised(Exception):
    """Another supervisor holds this home."""


class HomeLock:
    """An advisory lock that lives exactly as long as the process holding it (flock(2))."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def acquire(self, *, within_s: float = GLANCE_S) -> None:
        """Take the lock.

        Raises:
            HomeIsSupervised: somebody else has it, and keeps it.
        """
        deadline = time.monotonic() + within_s
        while not self._take():
            if time.monotonic() >= deadline:
                raise HomeIsSupervised
            time.sleep(_PAUSE_S)

    def _take(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Give the lock back."""
        os.close(self._descriptor)

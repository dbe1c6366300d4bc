"""One supervisor per home."""

import fcntl
import os
from pathlib import Path


class HomeIsSupervised(Exception):
    """Another supervisor holds this home."""


class HomeLock:
    """An advisory lock that lives exactly as long as the process holding it (flock(2))."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            HomeIsSupervised: somebody else has it.
        """
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HomeIsSupervised from None

    def release(self) -> None:
        """Give the lock back."""
        os.close(self._descriptor)

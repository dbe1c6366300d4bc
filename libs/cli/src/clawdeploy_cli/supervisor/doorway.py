"""Unix sockets in folders with long names."""

import contextlib
import os
from collections.abc import Generator
from pathlib import Path


@contextlib.contextmanager
def doorway(path: Path) -> Generator[str]:
    """An address of the socket that is short enough: the kernel takes 107 bytes (unix(7)), however long the folder's own name is."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)

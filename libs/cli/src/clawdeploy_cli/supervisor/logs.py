"""Log files of the platform's processes, kept within bounds while the processes write to them."""

import os
import shutil
from pathlib import Path

MAX_BYTES = 10 * 1024 * 1024
KEEP = 3


def open_log(path: Path) -> int:
    """A descriptor a child can write to; appending, so that truncating the file under it is safe."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def rotate(path: Path, *, max_bytes: int = MAX_BYTES, keep: int = KEEP) -> bool:
    """Copy a log that grew too large to `.1` (older ones move up to `keep`) and empty it. True when it was rotated.

    Lines written between the copy and the emptying are lost; the processes need no reopening and no pipe through the supervisor.
    """
    if not path.is_file() or path.stat().st_size < max_bytes:
        return False
    for number in range(keep - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.is_file():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    shutil.copyfile(path, path.with_name(f"{path.name}.1"))
    path.with_name(f"{path.name}.1").chmod(0o600)
    os.truncate(path, 0)
    return True


def last_lines(path: Path, *, count: int = 10) -> list[str]:
    """The end of a log file; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 64 * 1024))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return []

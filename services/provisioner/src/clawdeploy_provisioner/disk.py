"""Files that appear whole or not at all, and locks that several processes of the platform share."""

import asyncio
import fcntl
import os
import secrets
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path


def write_atomically(
    directory: Path, name: str, data: bytes, *, owner: tuple[int, int] | None = None, mode: int = 0o600
) -> None:
    """Put ``data`` into ``directory/name``: written beside it, flushed to disk, renamed over it.

    The directory is opened once and never through a link in its last part, so that a directory's owner cannot lead root elsewhere.
    ``owner`` is (uid, gid).
    """
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        beside = f".{name}.{secrets.token_hex(6)}"
        try:
            _write_new(folder, beside, data, owner=owner, mode=mode)
            os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with _ignoring_missing():
                os.unlink(beside, dir_fd=folder)
            raise
        os.fsync(folder)
    finally:
        os.close(folder)


def _write_new(folder: int, name: str, data: bytes, *, owner: tuple[int, int] | None, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, mode, dir_fd=folder), "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), mode)
        if owner is not None:
            os.fchown(file.fileno(), *owner)
        os.fsync(file.fileno())


@contextmanager
def _ignoring_missing() -> Generator[None]:
    try:
        yield
    except FileNotFoundError:
        return


@asynccontextmanager
async def locked(path: Path, *, patience: float) -> AsyncGenerator[None]:
    """Hold an exclusive lock on ``path`` against every process of this machine; it ends with the process that holds it.

    Whoever holds it may remove the file.

    Raises:
        TimeoutError: somebody else held it for longer than ``patience`` seconds.
    """
    deadline = asyncio.get_running_loop().time() + patience
    while (handle := try_lock(path)) is None:
        if asyncio.get_running_loop().time() >= deadline:
            raise TimeoutError(f"{path} is held by another process")
        await asyncio.sleep(0.05)
    try:
        yield
    finally:
        os.close(handle)


def try_lock(path: Path) -> int | None:
    """An open descriptor that holds the lock until it is closed, or None when somebody else has it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_ino == path.stat().st_ino:
            return handle
    except (BlockingIOError, FileNotFoundError):  # held, or removed by its last holder
        pass
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None

"""The gateway's log file: its last lines, its new lines, and keeping it small."""

import asyncio
import os
import shutil
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

from clawdeploy_common.redaction import Redactor

_POLL_SECONDS = 0.3
_READ_AT_MOST = 8_000_000
LINE_LIMIT = 8_000
"""Characters of a line that are shown; a model can write very long ones."""


def rotated(log: Path, number: int) -> Path:
    """The ``number``-th older file, 1 being the newest."""
    return log.with_name(f"{log.name}.{number}")


def rotate(log: Path, *, above: int, kept: int) -> bool:
    """Move the content on when the file is larger than ``above`` bytes.

    The gateway keeps its descriptor, opened for appending, so the file is copied and emptied; a line written between the two is lost.
    """
    try:
        if log.stat().st_size <= above:
            return False
    except FileNotFoundError:
        return False
    for number in range(kept, 1, -1):
        if rotated(log, number - 1).exists():
            rotated(log, number - 1).replace(rotated(log, number))
    shutil.copyfile(log, rotated(log, 1))
    rotated(log, 1).chmod(0o600)
    os.truncate(log, 0)
    return True


def last_lines(log: Path, *, count: int, redactor: Redactor) -> list[str]:
    """The last ``count`` lines, reaching back into rotated files, redacted."""
    if count <= 0:
        return []
    lines: deque[str] = deque(maxlen=count)
    files = [log]
    while (older := rotated(log, len(files))).exists():
        files.append(older)
    for file in reversed(files):
        lines.extend(_lines_of(file))
    return [_shown(redactor.redact(line)) for line in lines]


def _lines_of(file: Path) -> list[str]:
    try:
        with file.open("rb") as handle:
            size = os.fstat(handle.fileno()).st_size
            handle.seek(max(0, size - _READ_AT_MOST))
            return handle.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _shown(line: str) -> str:
    return line if len(line) <= LINE_LIMIT else f"{line[:LINE_LIMIT]}…"


async def follow(log: Path, *, redactor: Redactor) -> AsyncIterator[str]:
    """New whole lines, redacted, until the file is gone; starts at its end."""
    position = await asyncio.to_thread(_size, log)
    rest = b""
    while position is not None:
        size = await asyncio.to_thread(_size, log)
        if size is None:
            return
        if size < position:  # emptied by rotation
            position, rest = 0, b""
        new = await asyncio.to_thread(_read_from, log, position)
        position += len(new)
        *lines, rest = (rest + new).split(b"\n")
        for line in lines:
            yield _shown(redactor.redact(line.decode(errors="replace").rstrip("\r")))
        if not new:
            await asyncio.sleep(_POLL_SECONDS)


def _size(log: Path) -> int | None:
    try:
        return log.stat().st_size
    except FileNotFoundError:
        return None


def _read_from(log: Path, position: int) -> bytes:
    try:
        with log.open("rb") as handle:
            handle.seek(position)
            return handle.read(_READ_AT_MOST)
    except FileNotFoundError:
        return b""

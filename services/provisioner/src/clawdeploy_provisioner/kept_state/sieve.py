"""What of an agent's files is kept, and in which form: one plain tar, whoever made the one it was read from.

Names are relative to OpenClaw's state folder, the workspace is ``workspace/``; everything belongs to one uid. An agent writes its own
files, so its tar is not trusted: what leaves the folder, passes through a link, or is neither file, folder nor link, is left out.
"""

import io
import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath

CHUNK = 1_048_576
"""Bytes of a chunk; only the last one is shorter."""
OWNER = 1000
"""The agent's uid in a container; elsewhere whoever unpacks owns the files."""
WORKSPACE = "workspace"

CONFIGURATION = "openclaw.json"
LEFT_OUT = frozenset({"cache", "logs", "npm", "plugin-skills", "tmp", ".env"})
"""Of the state folder: what is made anew, plugins too (they are installed with the configuration), and secrets."""
LEFT_OUT_ANYWHERE = "node_modules"
_PASSING = (".lock", ".log", ".pid", ".sock")
_PERMISSIONS = 0o777


def is_kept(path: PurePosixPath) -> bool:
    """Whether a path below the state folder is part of the state."""
    first, *_ = parts = path.parts
    if LEFT_OUT_ANYWHERE in parts:
        return False
    if first == WORKSPACE:
        return True
    return first not in LEFT_OUT and not first.lstrip(".").startswith(CONFIGURATION) and path.suffix not in _PASSING


def sieved(source: Iterator[bytes], *, inside: str = "") -> Iterator[bytes]:
    """The tar of what is kept, in chunks of CHUNK bytes; ``inside`` is the folder the names of ``source`` begin with.

    Raises:
        tarfile.TarError: it is no tar, or a broken one.
    """
    buffer = bytearray()
    for piece in _pieces(source, inside):
        buffer += piece
        while len(buffer) >= CHUNK:
            yield bytes(buffer[:CHUNK])
            del buffer[:CHUNK]
    if buffer:
        yield bytes(buffer)


def _pieces(source: Iterator[bytes], inside: str) -> Iterator[bytes]:
    known = _Known()
    yield _folder(WORKSPACE).tobuf(tarfile.PAX_FORMAT)  # also when it is empty
    with tarfile.open(fileobj=_Reader(source), mode="r|") as tar:  # pyright: ignore[reportArgumentType] - only read() is asked for
        while (entry := tar.next()) is not None:
            tar.members.clear()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] - or it remembers every entry
            plain = _plain(entry, known, inside)
            if plain is None:
                continue
            yield plain.tobuf(tarfile.PAX_FORMAT)
            content = tar.extractfile(entry) if plain.isreg() else None
            while content is not None and (read := content.read(CHUNK)):
                yield read
            yield bytes(-plain.size % tarfile.BLOCKSIZE)
    for _ in source:  # only at its end is it known that whoever wrote it ended well
        pass
    yield bytes(2 * tarfile.BLOCKSIZE)


def _plain(entry: tarfile.TarInfo, known: "_Known", inside: str) -> tarfile.TarInfo | None:
    """The entry as it is kept; None when it is not."""
    path = _path(entry.name, inside)
    if path is None or not is_kept(path) or not known.admits(path):
        return None
    plain = tarfile.TarInfo(str(path))
    plain.mode, plain.mtime, plain.uid, plain.gid = entry.mode & _PERMISSIONS, entry.mtime, OWNER, OWNER
    if entry.isdir():
        plain.type = tarfile.DIRTYPE
    elif entry.isreg():
        plain.size = entry.size
        known.files.add(path)
    elif entry.issym():
        plain.type, plain.linkname = tarfile.SYMTYPE, entry.linkname
        known.links.add(path)
    elif entry.islnk() and (target := _path(entry.linkname, inside)) in known.files:
        plain.type, plain.linkname = tarfile.LNKTYPE, str(target)
    else:
        return None
    return plain


def _folder(name: str) -> tarfile.TarInfo:
    folder = tarfile.TarInfo(name)
    folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, 0o700, OWNER, OWNER
    return folder


def _path(name: str, inside: str) -> PurePosixPath | None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return None
    if inside:
        path = path.relative_to(inside) if path.is_relative_to(inside) else PurePosixPath()
    return path if path.parts else None


class _Known:
    """What was let through: nothing may be written twice, or through a link."""

    def __init__(self) -> None:
        self.files: set[PurePosixPath] = set()
        self.links: set[PurePosixPath] = set()

    def admits(self, path: PurePosixPath) -> bool:
        return path not in self.files and self.links.isdisjoint((path, *path.parents))


class _Reader(io.RawIOBase):
    """A file to read from chunks."""

    def __init__(self, source: Iterator[bytes]) -> None:
        super().__init__()
        self._source = source
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # pyright: ignore[reportIncompatibleMethodOverride] - any writable buffer is one
        while not self._rest:
            chunk = next(self._source, None)
            if chunk is None:
                return 0
            self._rest = chunk
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

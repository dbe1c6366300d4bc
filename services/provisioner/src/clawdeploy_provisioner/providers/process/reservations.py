"""Ports and uids handed out on this machine, on disk, so that two platforms never give the same twice."""

import asyncio
import pwd
import socket
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from pydantic import BaseModel, Field

from clawdeploy_provisioner.disk import locked, write_atomically
from clawdeploy_provisioner.providers.process import procfs
from clawdeploy_provisioner.providers.process.settings import PORT_STRIDE, ProcessSettings
from clawdeploy_provisioner.providers.protocol import ProviderUnavailable

_FILE = "reservations.json"
_PATIENCE = 30.0
_DERIVED = (0, 2)
"""Of the ports OpenClaw derives, these are opened without anybody asking for a browser."""


class Reservation(BaseModel):
    """One directory's port and, as root, its uid (which is its gid too)."""

    server_id: UUID
    directory: Path
    port: int
    uid: int | None


class _Book(BaseModel):
    next_uid: int = 0
    taken: list[Reservation] = Field(default_factory=list[Reservation])


class Reservations:
    """The machine's book; every call holds its lock."""

    def __init__(self, settings: ProcessSettings) -> None:
        self._settings = settings
        self._home = settings.reservations_dir

    async def reserve(self, directory: Path, *, server_id: UUID) -> Reservation:
        """What the directory already has, or a port range and a uid nobody uses.

        Raises:
            ProviderUnavailable: no port or no uid is left.
        """
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with locked(self._home / ".lock", patience=_PATIENCE):
            return await asyncio.to_thread(self._reserve, directory, server_id)

    async def release(self, directory: Path) -> None:
        """Give back what the directory had; nothing happens when it had nothing."""
        if not self._home.is_dir():
            return
        async with locked(self._home / ".lock", patience=_PATIENCE):
            book = self._read()
            kept = [entry for entry in book.taken if entry.directory != directory]
            if len(kept) != len(book.taken):
                self._write(book.model_copy(update={"taken": kept}))

    def under(self, instances_dir: Path) -> list[Reservation]:
        """Everything handed out for one platform; a reader needs no lock, the file is replaced whole."""
        return [entry for entry in self._read().taken if entry.directory.parent == instances_dir]

    def of(self, directory: Path) -> Reservation | None:
        """What one directory has."""
        return next((entry for entry in self._read().taken if entry.directory == directory), None)

    def _reserve(self, directory: Path, server_id: UUID) -> Reservation:
        book = self._read()
        existing = next((entry for entry in book.taken if entry.directory == directory), None)
        return existing or self._take(book, directory, server_id)

    def _take(self, book: _Book, directory: Path, server_id: UUID) -> Reservation:
        port = next(self._free_ports(book), None)
        if port is None:
            book = _without_abandoned(book)
            port = next(self._free_ports(book), None)
        if port is None:
            raise ProviderUnavailable("no port range is free on this machine", retry_after=30)
        uid = self._free_uid(book) if self._settings.own_uids else None
        entry = Reservation(server_id=server_id, directory=directory, port=port, uid=uid)
        self._write(_Book(next_uid=book.next_uid if uid is None else uid + 1, taken=[*book.taken, entry]))
        return entry

    def _free_ports(self, book: _Book) -> Iterator[int]:
        taken = [entry.port for entry in book.taken]
        for port in self._settings.ports:
            if all(abs(port - other) >= PORT_STRIDE for other in taken) and all(
                is_free(port + step) for step in _DERIVED
            ):
                yield port

    def _free_uid(self, book: _Book) -> int:
        """The next uid in turn, so that one comes back as late as possible, that no process, user or reservation has."""
        used = {entry.uid for entry in book.taken} | procfs.uids()
        uids = self._settings.uids
        after = [uid for uid in uids if uid >= book.next_uid]
        for uid in [*after, *uids]:
            if uid not in used and not _is_a_user(uid):
                return uid
        raise ProviderUnavailable("no uid is free on this machine", retry_after=30)

    def _read(self) -> _Book:
        try:
            return _Book.model_validate_json((self._home / _FILE).read_bytes())
        except FileNotFoundError:
            return _Book()

    def _write(self, book: _Book) -> None:
        write_atomically(self._home, _FILE, book.model_dump_json(indent=1).encode())


def is_free(port: int) -> bool:
    """Whether nothing listens on the loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _without_abandoned(book: _Book) -> _Book:
    """Without the entries whose directory somebody removed and whose uid runs nothing any more."""
    busy = procfs.uids()
    kept = [entry for entry in book.taken if entry.directory.exists() or (entry.uid is not None and entry.uid in busy)]
    return book.model_copy(update={"taken": kept})


def _is_a_user(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True

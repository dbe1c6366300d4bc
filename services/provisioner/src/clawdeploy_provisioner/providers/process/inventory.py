"""Which servers there are on this machine, one look at each, and the right to work on one."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from clawdeploy_provisioner.disk import locked
from clawdeploy_provisioner.providers.process.cell import marked_directories
from clawdeploy_provisioner.providers.process.reservations import Reservations
from clawdeploy_provisioner.providers.process.settings import ProcessSettings
from clawdeploy_provisioner.providers.process.sight import Sight, look
from clawdeploy_provisioner.providers.protocol import ServerBusy

_PATIENCE = 60.0
_LOCKS = ".locks"


class Inventory:
    """The servers of one platform; nothing is kept in memory."""

    def __init__(self, settings: ProcessSettings, reservations: Reservations) -> None:
        self._settings = settings
        self._reservations = reservations

    async def ids(self) -> list[UUID]:
        """Every server that left a trace: a directory, a reservation or a process that carries the marker."""
        return sorted(await asyncio.to_thread(self._ids))

    def _ids(self) -> set[UUID]:
        home = self._settings.instances_dir
        names = [entry.name for entry in home.iterdir()] if home.is_dir() else []
        names += [str(entry.server_id) for entry in self._reservations.under(home)]
        names += [server_id for directory, server_id in marked_directories().items() if directory.parent == home]
        return {UUID(name) for name in names if _is_uuid(name)}

    async def look(self, server_id: UUID) -> Sight:
        """What can be seen of it, which may be nothing."""
        return await asyncio.to_thread(self._look, server_id)

    def _look(self, server_id: UUID) -> Sight:
        reservation = self._reservations.of(self._settings.instances_dir / str(server_id))
        return look(server_id, settings=self._settings, reservation=reservation)

    async def existing(self, server_id: UUID) -> Sight:
        """What can be seen of a server that has its directory.

        Raises:
            ServerNotFound: it has none.
        """
        sight = await self.look(server_id)
        sight.require_record()
        return sight

    @asynccontextmanager
    async def holding(self, server_id: UUID, *, patience: float = _PATIENCE) -> AsyncGenerator[None]:
        """Nobody else, in this process or another, works on the server meanwhile.

        Raises:
            ServerBusy: somebody did for longer than ``patience`` seconds.
        """
        lock = self._lock_of(server_id)
        await asyncio.to_thread(_make_private, lock.parent)
        try:
            async with locked(lock, patience=patience):
                yield
        except TimeoutError as error:
            raise ServerBusy(f"server {server_id} is being worked on", retry_after=2) from error

    async def forget(self, server_id: UUID) -> None:
        """Give back what was reserved for it; its holder calls this last."""
        await self._reservations.release(self._settings.instances_dir / str(server_id))
        self._lock_of(server_id).unlink(missing_ok=True)

    def _lock_of(self, server_id: UUID) -> Path:
        return self._settings.instances_dir / _LOCKS / str(server_id)


def _make_private(directory: Path) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False

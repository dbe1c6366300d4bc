"""Which servers there are on which engine, one look at each, and the right to work on one."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from clawdeploy_provisioner.disk import locked, write_atomically
from clawdeploy_provisioner.providers.docker.engine import Engine, EngineAway
from clawdeploy_provisioner.providers.docker.settings import DockerSettings
from clawdeploy_provisioner.providers.docker.sight import Sight, Sights
from clawdeploy_provisioner.providers.docker.tasks import remove_abandoned
from clawdeploy_provisioner.providers.protocol import ProviderError, ServerBusy

_PATIENCE = 60.0


class Inventory:
    """The servers of one platform. What this machine remembers is only on which engine each one was made."""

    def __init__(self, settings: DockerSettings, sights: Sights, engines: Mapping[str, Engine]) -> None:
        self._home = settings.home
        self._sights = sights
        self._engines = engines

    async def all(self) -> tuple[list[tuple[Engine, UUID]], bool]:
        """Every server with its engine, and whether every engine answered."""
        answers = await asyncio.gather(*map(self._on, self._engines.values()))
        found = [(engine, server_id) for engine, ids in answers for server_id in sorted(ids or ())]
        return found, all(ids is not None for _, ids in answers)

    async def find(self, server_id: UUID, *, fresh: bool = False) -> Sight | None:
        """What can be seen of it; None when no engine has a trace.

        Raises:
            EngineAway: it may be on an engine that does not answer, or that is not configured any more.
        """
        remembered = await asyncio.to_thread(self._remembered, server_id)
        if remembered is not None and remembered not in self._engines:
            raise EngineAway(f"server {server_id} is on Docker engine {remembered}, which is not switched on here")
        engines = list(self._engines.values()) if remembered is None else [self._engines[remembered]]
        away: ProviderError | None = None
        for engine in engines:
            try:
                sight = await self._sights.look(engine, server_id, fresh=fresh)
            except EngineAway as error:
                away = error
                continue
            if sight.known:
                return sight
        if away is not None:
            raise away
        return None

    async def tidy(self) -> set[str]:
        """Remove what an interrupted check left on any engine; answers the addresses of our cells' networks."""
        found: set[str] = set()
        for engine in self._engines.values():
            await remove_abandoned(engine, self._sights.mine())
            networks = await engine.ask(lambda api: api.networks(filters=self._sights.mine()))
            found |= {
                str(config.get("Gateway", "")).partition("/")[0] for n in networks for config in n["IPAM"]["Config"]
            }
        return found

    @asynccontextmanager
    async def holding(self, server_id: UUID, *, patience: float | None = None) -> AsyncGenerator[None]:
        """Nobody else on this machine works on the server meanwhile.

        Raises:
            ServerBusy: somebody did for longer than ``patience`` seconds (a minute).
        """
        lock = self._home / "locks" / str(server_id)
        lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            async with locked(lock, patience=_PATIENCE if patience is None else patience):
                yield
        except TimeoutError as error:
            raise ServerBusy(f"server {server_id} is being worked on", retry_after=2) from error

    def remember(self, server_id: UUID, engine: Engine) -> None:
        """Write down where it is about to be made, so that an engine that is switched off is not taken for an empty one."""
        self._places.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self._places, str(server_id), engine.name.encode())

    def forget(self, server_id: UUID) -> None:
        """It is gone; whoever holds it calls this last."""
        (self._places / str(server_id)).unlink(missing_ok=True)
        (self._home / "locks" / str(server_id)).unlink(missing_ok=True)

    @property
    def _places(self) -> Path:
        return self._home / "servers"

    def _remembered(self, server_id: UUID) -> str | None:
        try:
            return (self._places / str(server_id)).read_text()
        except FileNotFoundError:
            return None

    async def _on(self, engine: Engine) -> tuple[Engine, set[UUID] | None]:
        try:
            return engine, await self._sights.ids(engine)
        except ProviderError:
            return engine, None

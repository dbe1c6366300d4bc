"""Host ports of an engine: which are free, and the right to take one."""

from collections.abc import AsyncGenerator, Collection, Iterator
from contextlib import asynccontextmanager
from typing import Any

from clawdeploy_provisioner.disk import locked
from clawdeploy_provisioner.providers.docker.anchor import PORT
from clawdeploy_provisioner.providers.docker.engine import Engine
from clawdeploy_provisioner.providers.docker.settings import DockerSettings
from clawdeploy_provisioner.providers.docker.sight import labels_of
from clawdeploy_provisioner.providers.process.reservations import is_free
from clawdeploy_provisioner.providers.protocol import ProviderUnavailable

_PATIENCE = 30.0


class HostPorts:
    """Chooses ports; what is chosen is held by a label on the engine, and a start that still finds it taken moves on."""

    def __init__(self, settings: DockerSettings) -> None:
        self._settings = settings

    @asynccontextmanager
    async def choosing(self, engine: Engine) -> AsyncGenerator[None]:
        """Nobody else on this machine, of this platform or another, chooses a port of the engine meanwhile."""
        folder = self._settings.reservations_dir
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with locked(folder / f".docker-{engine.name}.lock", patience=_PATIENCE):
            yield

    async def free(self, engine: Engine, *, but: Collection[int] = ()) -> int:
        """The lowest port that nothing has.

        Raises:
            ProviderUnavailable: all are taken.
        """
        taken = {*await engine.ask(_taken), *but}
        for port in self._settings.ports:
            if port not in taken and (not engine.host.is_local or is_free(port)):
                return port
        raise ProviderUnavailable(f"Docker engine {engine.name} has no host port left", retry_after=30)


def _taken(api: Any) -> set[int]:
    """Of every platform: labels hold what is chosen, published ports what runs."""
    ports: set[int] = set()
    volumes: list[dict[str, Any]] | None = api.volumes(filters={"label": [PORT]})["Volumes"]
    for thing in (*(volumes or []), *api.containers(all=True)):
        ports |= set(_ports_of(thing))
    return ports


def _ports_of(thing: dict[str, Any]) -> Iterator[int]:
    label = labels_of(thing).get(PORT, "")
    if label.isdecimal():
        yield int(label)
    ports: list[dict[str, Any]] | None = thing.get("Ports")
    for published in ports or []:
        if "PublicPort" in published:
            yield int(published["PublicPort"])

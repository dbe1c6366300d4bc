"""What can be seen of one server at this moment: its volumes, its network, its container, and what we remember of it."""

import asyncio
import dataclasses
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from clawdeploy_provisioner.providers.docker.anchor import (
    CELL_ROLE,
    PLATFORM,
    ROLE,
    SERVER,
    Anchor,
    secrets_volume,
    state_volume,
)
from clawdeploy_provisioner.providers.docker.engine import Engine, Json
from clawdeploy_provisioner.providers.docker.profiles import OPENCLAW, PROFILE_LABEL, PROFILES, Profile
from clawdeploy_provisioner.providers.docker.record import FOLDER, Kept
from clawdeploy_provisioner.providers.docker.settings import DockerSettings
from clawdeploy_provisioner.providers.protocol import ServerNotFound

_REMEMBERED_SECONDS = 20.0
_NEVER = "0001-01-01"


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container as the engine describes it."""

    raw: Json

    @property
    def id(self) -> str:
        """The engine's id."""
        return str(self.raw["Id"])

    @property
    def name(self) -> str:
        """Its name now; people can change it."""
        return str(self.raw["Name"]).lstrip("/")

    @property
    def status(self) -> str:
        """created, running, paused, restarting, exited, removing or dead."""
        return str(self.raw["State"]["Status"])

    @property
    def is_up(self) -> bool:
        """Whether its program runs."""
        return self.status == "running"

    @property
    def exit_code(self) -> int:
        """How it ended last."""
        return int(self.raw["State"]["ExitCode"])

    @property
    def was_out_of_memory(self) -> bool:
        """Whether the kernel ended it for its memory limit."""
        return bool(self.raw["State"].get("OOMKilled"))

    @property
    def restarts(self) -> int:
        """How often the engine has restarted it since somebody started it."""
        return int(self.raw.get("RestartCount", 0))

    @property
    def run(self) -> str:
        """Names its latest run: when it began, to the nanosecond."""
        return str(self.raw["State"]["StartedAt"])

    @property
    def started_at(self) -> datetime | None:
        """When it started last."""
        return moment(self.run)

    @property
    def port(self) -> int:
        """The host port it is to be published on."""
        bindings: Any = self.raw["HostConfig"]["PortBindings"]
        return int(next(iter(bindings.values()))[0]["HostPort"])

    @property
    def profile(self) -> Profile:
        """What kind of program it holds."""
        return PROFILES.get(labels_of(self.raw["Config"]).get(PROFILE_LABEL, ""), OPENCLAW)


@dataclass(frozen=True, kw_only=True)
class Sight:
    """One look at one server on one engine."""

    server_id: UUID
    engine: Engine
    anchor: Anchor | None
    has_state: bool
    containers: tuple[Container, ...]
    kept: Kept

    @property
    def container(self) -> Container | None:
        """The one that counts: by its name, should somebody have made a second one with our labels."""
        named = (c for c in self.containers if self.anchor is not None and c.name == self.anchor.container)
        return next(iter((*named, *self.containers)), None)

    @property
    def is_ready(self) -> bool:
        """Whether its program runs and has been seen ready in this run."""
        return self.container is not None and self.container.is_up and self.kept.is_ready(self.container.run)

    @property
    def known(self) -> bool:
        """Whether there is any trace of it."""
        return self.anchor is not None

    @property
    def port(self) -> int | None:
        """The host port it has."""
        if self.container is not None:
            return self.container.port
        return None if self.anchor is None else self.anchor.port

    def require_anchor(self) -> Anchor:
        """Who the server is; raises ServerNotFound when its state is gone."""
        if self.anchor is None or not self.has_state:
            raise ServerNotFound(self.server_id)
        return self.anchor


class Sights:
    """Looks, and remembers records for some seconds: reading one costs the engine a process."""

    def __init__(self, settings: DockerSettings) -> None:
        self._settings = settings
        self._kept: dict[str, tuple[float, Kept]] = {}

    async def look(self, engine: Engine, server_id: UUID, *, fresh: bool = False) -> Sight:
        """What there is of the server on this engine; ``fresh`` reads its record again."""
        volume, things = await asyncio.gather(
            engine.find(lambda api: api.inspect_volume(state_volume(server_id))),
            engine.containers(lambda: self.mine(f"{SERVER}={server_id}", f"{ROLE}={CELL_ROLE}")),
        )
        containers = tuple(Container(raw=raw) for raw in things)
        anchor = self._anchor(volume, containers) or await self._leftover(engine, server_id)
        sight = Sight(
            server_id=server_id,
            engine=engine,
            anchor=anchor,
            has_state=volume is not None,
            containers=containers,
            kept=Kept(),
        )
        if sight.container is None:
            return sight
        kept = await self._record(engine, sight.container.id, fresh=fresh)
        return dataclasses.replace(sight, kept=kept)

    async def ids(self, engine: Engine) -> set[UUID]:
        """Every server that left a trace on the engine."""
        volumes, containers, networks = await asyncio.gather(
            engine.ask(lambda api: api.volumes(filters=self.mine())["Volumes"] or []),
            engine.ask(lambda api: api.containers(all=True, filters=self.mine())),
            engine.ask(lambda api: api.networks(filters=self.mine())),
        )
        return {UUID(labels_of(thing)[SERVER]) for thing in (*volumes, *containers, *networks)}

    def mine(self, *labels: str) -> Json:
        """A filter for what this platform made."""
        return {"label": [f"{PLATFORM}={self._settings.platform}", *labels]}

    def forget(self, container_id: str) -> None:
        """Its record was changed."""
        self._kept.pop(container_id, None)

    def _anchor(self, volume: Json | None, containers: tuple[Container, ...]) -> Anchor | None:
        labels = [labels_of(volume), *(labels_of(container.raw["Config"]) for container in containers)]
        return next((Anchor.read(found) for found in labels if found.get(PLATFORM) == self._settings.platform), None)

    async def _leftover(self, engine: Engine, server_id: UUID) -> Anchor | None:
        """From what a destroy that was cut short has left, or from what somebody else's removal has."""
        network = await engine.find(lambda api: api.inspect_network(state_volume(server_id)))
        secrets = await engine.find(lambda api: api.inspect_volume(secrets_volume(server_id)))
        labels = [labels_of(thing) for thing in (network, secrets)]
        return next((Anchor.read(found) for found in labels if found.get(PLATFORM) == self._settings.platform), None)

    async def _record(self, engine: Engine, container_id: str, *, fresh: bool) -> Kept:
        read_at, kept = self._kept.get(container_id, (0.0, Kept()))
        if fresh or time.monotonic() - read_at > _REMEMBERED_SECONDS:
            kept = Kept.read(await engine.get(container_id, FOLDER) or {})
            self._kept[container_id] = (time.monotonic(), kept)
        return kept


def labels_of(thing: Json | None) -> dict[str, str]:
    """The labels of whatever the engine described; it says null for none."""
    labels: dict[str, str] | None = None if thing is None else thing.get("Labels")
    return labels or {}


def moment(text: str) -> datetime | None:
    """The engine's timestamps have nanoseconds; Python's have microseconds."""
    if text.startswith(_NEVER):
        return None
    seconds, _, rest = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{seconds}.{rest[:6].ljust(6, '0')}+00:00")

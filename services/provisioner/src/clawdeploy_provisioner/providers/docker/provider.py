"""The ``docker`` provider: each agent is a hardened container with a network and volumes of its own."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import timedelta
from uuid import UUID

import structlog

from clawdeploy_common import http as httpx
from clawdeploy_provisioner.openclaw.channels import Channel
from clawdeploy_provisioner.providers.docker import journal, state
from clawdeploy_provisioner.providers.docker.anchor import Anchor
from clawdeploy_provisioner.providers.docker.cells import Cells
from clawdeploy_provisioner.providers.docker.configuring import Configuring
from clawdeploy_provisioner.providers.docker.engine import Engine, EngineRefused
from clawdeploy_provisioner.providers.docker.images import Images
from clawdeploy_provisioner.providers.docker.inventory import Inventory
from clawdeploy_provisioner.providers.docker.lifecycle import Lifecycle
from clawdeploy_provisioner.providers.docker.ports import HostPorts
from clawdeploy_provisioner.providers.docker.relay import Relays
from clawdeploy_provisioner.providers.docker.rounds import Rounds
from clawdeploy_provisioner.providers.docker.seeing import Seeing
from clawdeploy_provisioner.providers.docker.settings import DockerSettings
from clawdeploy_provisioner.providers.docker.sight import Sight, Sights
from clawdeploy_provisioner.providers.protocol import (
    Bundle,
    Listing,
    Progress,
    ProviderError,
    Server,
    ServerNotFound,
    ServerSpec,
)

log = structlog.get_logger()


class DockerProvider:
    """Agents in containers; see ``providers.protocol.Provider`` for what each verb promises.

    What a server is and what became of it is kept on its engine, in labels and in a volume, so that any provisioner that reaches the
    engine finds it. ``http`` stays the caller's.
    """

    name = "docker"
    visibility_lag = timedelta(0)
    delivery_patience = timedelta(0)

    def __init__(self, settings: DockerSettings, *, http: httpx.AsyncClient) -> None:
        self._settings = settings
        self._engines = {host.name: Engine(host) for host in settings.hosts}
        self._images = Images(settings.image)
        self._sights = Sights(settings)
        self._cells = Cells(self._images, self._sights)
        self._ports = HostPorts(settings)
        self._relays = Relays()
        self._inventory = Inventory(settings, self._sights, self._engines)
        self._lifecycle = Lifecycle(settings, self._cells, self._sights)
        self._configuring = Configuring(settings, self._cells, self._images)
        self._seeing = Seeing(settings, self._cells, self._images, self._lifecycle, http=http)
        self._rounds = Rounds(self._inventory, self._lifecycle, self._seeing, self._relays)

    async def close(self) -> None:
        """Close relays and connections; the containers stay as they are."""
        await self._relays.close()
        for engine in self._engines.values():
            await asyncio.to_thread(engine.close)

    async def is_connected(self) -> bool:
        """Whether any engine answers."""
        return any(await asyncio.gather(*(engine.answers() for engine in self._engines.values())))

    async def is_ready(self) -> bool:
        """Whether the first engine answers and has the image, so that a new agent need not wait for it."""
        try:
            return await self._images.find(next(iter(self._engines.values()))) is not None
        except ProviderError:
            return False

    async def keep_image(self) -> None:
        """Fetch the image to every engine that answers and lacks it, until cancelled; what fails is tried again minutes later."""
        await self._images.keep(self._engines.values())

    async def ensure_server(self, spec: ServerSpec) -> Server:
        """Reserve a host port, create network and volumes, and the container too when its image is there already.

        Raises:
            EngineRefused: the region is no engine of ours.
        """
        engine = self._engines.get(spec.region)
        if engine is None:
            raise EngineRefused(f"there is no Docker engine {spec.region}; there are {', '.join(self._engines)}")
        async with self._holding(spec.server_id):
            sight = await self._sights.look(engine, spec.server_id)
            if not sight.has_state:
                await asyncio.to_thread(self._inventory.remember, spec.server_id, engine)
                async with self._ports.choosing(engine):
                    port = await self._ports.free(engine)
                    anchor = Anchor.of(spec, platform=self._settings.platform, port=port)
                    await self._cells.ensure_anchor(engine, anchor)
                log.info("server.created", server_id=str(spec.server_id), engine=engine.name, port=port)
            sight = await self._sights.look(engine, spec.server_id, fresh=True)
            has_image = await self._images.find(engine) is not None
            return await self._seeing.server(await self._cells.ensure(sight) if has_image else sight)

    async def find_server(self, server_id: UUID) -> Server | None:
        """The server by its label; the same as observing it, here."""
        return await self.observe(server_id)

    async def list_servers(self) -> Listing:
        """Every server of this platform on every engine; one that does not answer makes it incomplete."""
        found, complete = await self._inventory.all()
        answers = await asyncio.gather(*(self._observed(engine, server_id) for engine, server_id in found))
        return Listing(
            servers=[server for answer in answers for server in answer.servers],
            complete=complete and all(answer.complete for answer in answers),
        )

    async def _observed(self, engine: Engine, server_id: UUID) -> Listing:
        try:
            sight = await self._sights.look(engine, server_id)
            return Listing(servers=[await self._seeing.seen(sight)] if sight.known else [], complete=True)
        except (ProviderError, ValueError, KeyError) as error:
            log.warning("server.unreadable", server_id=str(server_id), error=type(error).__name__)
            return Listing(servers=[], complete=False)

    async def ensure_installed(self, server_id: UUID, progress: Progress, *, channels: Collection[str] = ()) -> None:
        """Fetch the image, make the container, and install the plugins this agent's channels need."""
        engine = (await self._existing(server_id)).engine
        await self._images.ensure(engine, progress=progress)
        async with self._holding(server_id):
            sight = await self._cells.ensure(await self._existing(server_id))
            await self._configuring.ensure_plugins(sight, [Channel(name) for name in channels], progress)

    async def check_configuration(self, server_id: UUID, bundle: Bundle) -> None:
        """Install missing plugins, render, and have it checked by the OpenClaw of the image.

        Raises:
            ConfigurationRejected: OpenClaw names what it does not accept.
        """
        async with self._holding(server_id):
            await self._configuring.checked(await self._cells.ensure(await self._existing(server_id)), bundle)

    async def write_configuration(self, server_id: UUID, bundle: Bundle) -> None:
        """Render, have checked, and put in place; a running gateway takes most changes at once, others at its next start.

        Raises:
            ConfigurationRejected: OpenClaw names what it does not accept; nothing was written.
        """
        async with self._holding(server_id):
            sight = await self._cells.ensure(await self._existing(server_id))
            await self._configuring.write(sight, bundle)
            log.info("configuration.written", server_id=str(server_id), version=bundle.version)

    async def start(self, server_id: UUID) -> Server:
        """Start the container unless it runs; one that was removed outside is made again from the state that is kept.

        Raises:
            ExitedBeforeReady: it ended at once. A later end shows in ``observe``.
        """
        async with self._holding(server_id):
            sight = await self._lifecycle.start(await self._existing(server_id))
            await self._rounds.relay(sight)
            return await self._seeing.server(sight)

    async def stop(self, server_id: UUID, *, drain: bool) -> Server:
        """TERM, and KILL after 5 s, or 30 s when draining; never started by itself afterwards."""
        async with self._holding(server_id):
            sight = await self._inventory.find(server_id, fresh=True)
            if sight is None:
                raise ServerNotFound(server_id)
            return await self._seeing.server(await self._lifecycle.stop(sight, drain=drain))

    async def destroy(self, server_id: UUID) -> None:
        """Remove everything that carries the server's label, and only then forget it."""
        sight = await self._inventory.find(server_id)
        if sight is None:
            await asyncio.to_thread(self._inventory.forget, server_id)
            return
        async with self._holding(server_id):
            await self._lifecycle.destroy(sight)
            await asyncio.to_thread(self._inventory.forget, server_id)
        log.info("server.destroyed", server_id=str(server_id))

    async def logs(self, server_id: UUID, *, tail: int) -> list[str]:
        """What the container wrote to stdout and stderr; nothing when it was removed outside."""
        sight = await self._existing(server_id)
        if sight.container is None:
            return []
        redactor = sight.kept.record.redactor
        return await journal.last_lines(sight.engine, sight.container.id, count=tail, redactor=redactor)

    async def follow_logs(self, server_id: UUID) -> AsyncIterator[str]:
        """New lines of the container, until it is gone."""
        sight = await self._existing(server_id)
        if sight.container is None:
            return
        redactor = sight.kept.record.redactor
        async for line in journal.follow(sight.engine, sight.container.id, redactor=redactor):
            yield line

    async def observe(self, server_id: UUID) -> Server | None:
        """The server now; asks a gateway that is still starting whether it is ready."""
        return await self._rounds.observe(server_id)

    async def state_size(self, server_id: UUID) -> int:
        """By reading it through."""
        async with self._holding(server_id):
            return await state.size(*await self._cell(server_id))

    async def read_state(self, server_id: UUID) -> AsyncGenerator[bytes]:
        """The state volume, through its container, which is made again if somebody removed it."""
        async with self._holding(server_id), aclosing(state.read(*await self._cell(server_id))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def write_state(self, server_id: UUID, chunks: AsyncIterator[bytes]) -> None:
        """Into the state volume; the plugins are to be installed again, since the databases know nothing of these here."""
        async with self._holding(server_id):
            await state.write(*await self._cell(server_id), chunks)
            sight = await self._existing(server_id)
            await self._cells.write(sight, sight.kept.record.model_copy(update={"plugins": []}))

    async def _cell(self, server_id: UUID) -> tuple[Engine, str]:
        sight = await self._cells.ensure(await self._existing(server_id))
        if sight.container is None:
            raise ServerNotFound(server_id)
        return sight.engine, sight.container.id

    async def supervise(self) -> list[Server]:
        """One round over every cell nobody works on; answers the servers it did something about."""
        return await self._rounds.supervise()

    async def park(self) -> int:
        """Stop every cell because the platform goes down; supervision starts them again. Answers how many there were."""
        return await self._rounds.park()

    async def _existing(self, server_id: UUID) -> Sight:
        sight = await self._inventory.find(server_id, fresh=True)
        if sight is None:
            raise ServerNotFound(server_id)
        sight.require_anchor()
        return sight

    def _holding(self, server_id: UUID, *, patience: float | None = None) -> AbstractAsyncContextManager[None]:
        return self._inventory.holding(server_id, patience=patience)

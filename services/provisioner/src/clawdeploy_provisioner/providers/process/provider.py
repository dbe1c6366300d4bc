"""The ``process`` provider: each agent is a process of this machine, with a directory, a port range and, as root, a uid of its own."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from uuid import UUID

import structlog
from pydantic import JsonValue

from clawdeploy_common import http as httpx
from clawdeploy_common.errors import PermanentError
from clawdeploy_events.deployments import BOOTSTRAP_ACCOUNT
from clawdeploy_provisioner.openclaw.channels import Channel, plugin_spec, with_token
from clawdeploy_provisioner.openclaw.checking import LocalChecker, issues_of
from clawdeploy_provisioner.openclaw.gateway import GatewayClient, GatewayError
from clawdeploy_provisioner.openclaw.install import ensure_openclaw, silent
from clawdeploy_provisioner.openclaw.plugins import install_plugin
from clawdeploy_provisioner.openclaw.rendering import Placement, render
from clawdeploy_provisioner.openclaw.tree import Tools
from clawdeploy_provisioner.providers.process import journal, state
from clawdeploy_provisioner.providers.process.answer import as_server
from clawdeploy_provisioner.providers.process.inventory import Inventory
from clawdeploy_provisioner.providers.process.lifecycle import Lifecycle
from clawdeploy_provisioner.providers.process.record import Configured, ServerRecord
from clawdeploy_provisioner.providers.process.reservations import Reservation, Reservations
from clawdeploy_provisioner.providers.process.settings import ProcessSettings
from clawdeploy_provisioner.providers.process.sight import (
    HOST,
    Sight,
    free_bytes,
    is_starting,
    last_lines,
    redactor_of,
)
from clawdeploy_provisioner.providers.protocol import (
    Bundle,
    ConfigurationRejected,
    Listing,
    Progress,
    ProviderError,
    ProviderUnavailable,
    Server,
    ServerSpec,
)
from clawdeploy_provisioner.providers.supervising import passing_over

log = structlog.get_logger()


class AgentsNotWalledOff(ProviderError, PermanentError):
    """Without root all agents share one uid: an agent has a shell as that user, so only one account may have any."""

    code = "agents-not-walled-off"
    title = "This machine cannot wall agents off from each other"

    def __init__(self) -> None:
        super().__init__("start the platform as root to run agents of several accounts, or use another provider")


class ProcessProvider:
    """Local agents; see ``providers.protocol.Provider`` for what each verb promises.

    Nothing is remembered in this object: a provisioner that was killed finds every agent again by its directory, and its process by
    pid and start time or by the marker in its environment. ``http`` stays the caller's.
    """

    name = "process"
    visibility_lag = timedelta(0)
    delivery_patience = timedelta(0)

    def __init__(self, settings: ProcessSettings, *, http: httpx.AsyncClient) -> None:
        self._settings = settings
        self._http = http
        self._tools = Tools(settings.tools_dir)
        self._reservations = Reservations(settings)
        self._inventory = Inventory(settings, self._reservations)
        self._lifecycle = Lifecycle(settings, self._tools)
        self._one_launch = asyncio.Lock()

    async def ensure_server(self, spec: ServerSpec) -> Server:
        """Make the directory, with a port range and a uid reserved for it; nothing runs yet, so the state is OFF.

        Raises:
            AgentsNotWalledOff: another account than the bootstrap one asks, and we are not root.
            ProviderUnavailable: no port, no uid or too little disk is left.
        """
        if not self._settings.own_uids and spec.account_id != BOOTSTRAP_ACCOUNT:
            raise AgentsNotWalledOff
        async with self._inventory.holding(spec.server_id):
            sight = await self._inventory.look(spec.server_id)
            if sight.record is None:
                await asyncio.to_thread(self._require_room)
                reservation = await self._reservations.reserve(sight.files.path, server_id=spec.server_id)
                await asyncio.to_thread(sight.files.create, _record(spec, reservation))
                log.info("server.created", server_id=str(spec.server_id), port=reservation.port, uid=reservation.uid)
            return await self._server(spec.server_id)

    async def find_server(self, server_id: UUID) -> Server | None:
        """The server by its directory, its reservation or the marker of a process; the same as observing it, here."""
        return await self.observe(server_id)

    async def list_servers(self) -> Listing:
        """Every server of this platform, those whose directory somebody removed as GONE; one that cannot be read makes it incomplete."""
        is_there = await asyncio.to_thread(self._settings.instances_dir.is_dir)
        answers = await asyncio.gather(*map(self._observed, await self._inventory.ids()))
        servers = [server for answer in answers for server in answer.servers]
        return Listing(servers=servers, complete=is_there and all(answer.complete for answer in answers))

    async def _observed(self, server_id: UUID) -> Listing:
        try:
            server = await self.observe(server_id)
        except (OSError, ValueError) as error:
            log.warning("server.unreadable", server_id=str(server_id), error=type(error).__name__)
            return Listing(servers=[], complete=False)
        return Listing(servers=[] if server is None else [server], complete=True)

    async def ensure_installed(self, server_id: UUID, progress: Progress, *, channels: Collection[str] = ()) -> None:
        """Install OpenClaw once for the whole machine, and the plugins this agent's channels need."""
        await ensure_openclaw(self._settings.tools_dir, progress=progress)
        async with self._inventory.holding(server_id):
            sight = await self._inventory.existing(server_id)
            await self._ensure_plugins(sight, [Channel(name) for name in channels], progress)

    async def check_configuration(self, server_id: UUID, bundle: Bundle) -> None:
        """Install missing plugins, render, and have it checked.

        Raises:
            ConfigurationRejected: OpenClaw names what it does not accept.
        """
        async with self._inventory.holding(server_id):
            await self._checked(await self._inventory.existing(server_id), bundle)

    async def write_configuration(self, server_id: UUID, bundle: Bundle) -> None:
        """Render, have checked, and put in place; a running gateway takes most changes at once, others at its next start.

        Raises:
            ConfigurationRejected: OpenClaw names what it does not accept; nothing was written.
        """
        async with self._inventory.holding(server_id):
            sight = await self._inventory.existing(server_id)
            record, document = await self._checked(sight, bundle)
            text = json.dumps(document, indent=1).encode()
            await asyncio.to_thread(
                sight.files.write_configuration, text, secrets=dict(bundle.environment), owner=record.owner
            )
            channels = with_token(bundle.config.channels, bundle.environment.keys())
            configured = _configured(bundle, channels)
            await asyncio.to_thread(sight.files.write, record.model_copy(update={"configured": configured}))
            log.info("configuration.written", server_id=str(server_id), version=bundle.version)

    async def _checked(self, sight: Sight, bundle: Bundle) -> tuple[ServerRecord, dict[str, JsonValue]]:
        """The server's record with its plugins, and a document that OpenClaw accepts."""
        variables = bundle.environment.keys()
        record = await self._ensure_plugins(sight, with_token(bundle.config.channels, variables), silent)
        document = render(bundle.config, placement=_placement(record.port, sight), variables=variables)
        if issues := await issues_of(document, checker=LocalChecker(self._tools), verdicts=self._tools.verdicts):
            raise ConfigurationRejected(issues)
        return record, document

    async def start(self, server_id: UUID) -> Server:
        """Start the gateway unless it runs; returns when its process is up.

        Raises:
            ExitedBeforeReady: it ended at once. A later end shows in ``observe``.
            ProviderUnavailable: as many agents as this machine has cores for are starting.
        """
        async with self._inventory.holding(server_id), self._one_launch:
            sight = await self._inventory.existing(server_id)
            if sight.gateway is None and not await self._may_launch():
                raise ProviderUnavailable("other agents of this machine are starting; this one is next", retry_after=2)
            await self._lifecycle.start(sight)
            return await self._server(server_id)

    async def _may_launch(self) -> bool:
        """A starting OpenClaw takes a core for about ten seconds; more of them at once than cores, and none starts in time."""
        sights = await asyncio.gather(*(self._inventory.look(server_id) for server_id in await self._inventory.ids()))
        since = datetime.now(UTC) - timedelta(seconds=self._settings.start_seconds)
        return sum(is_starting(sight, since=since) for sight in sights) < self._settings.starts_at_once

    async def stop(self, server_id: UUID, *, drain: bool) -> Server:
        """TERM, and KILL for everything left after 5 s, or 30 s when draining; never restarted by itself afterwards."""
        async with self._inventory.holding(server_id):
            await self._lifecycle.stop(await self._inventory.look(server_id), drain=drain)
            return await self._server(server_id)

    async def destroy(self, server_id: UUID) -> None:
        """Stop it, remove its directory and what its uid left elsewhere, and only then give its port and uid back."""
        if not (await self._inventory.look(server_id)).known:
            return
        async with self._inventory.holding(server_id):
            await self._lifecycle.destroy(await self._inventory.look(server_id))
            await self._inventory.forget(server_id)
        log.info("server.destroyed", server_id=str(server_id))

    async def logs(self, server_id: UUID, *, tail: int) -> list[str]:
        """What the gateway wrote to stdout and stderr: it holds what OpenClaw's own log lacks, such as a crash before logging began."""
        return await asyncio.to_thread(last_lines, await self._inventory.existing(server_id), count=tail)

    async def follow_logs(self, server_id: UUID) -> AsyncIterator[str]:
        """New lines of the same file, until the server is gone."""
        sight = await self._inventory.existing(server_id)
        redactor = await asyncio.to_thread(redactor_of, sight)
        async for line in journal.follow(sight.files.log, redactor=redactor):
            yield line

    async def observe(self, server_id: UUID) -> Server | None:
        """The server now; asks a gateway that is still starting whether it is ready."""
        sight = await self._inventory.look(server_id)
        if not sight.known:
            return None
        if sight.gateway is not None and not sight.ready and await self._has_started(sight):
            sight = await self._inventory.look(server_id)
        return await asyncio.to_thread(as_server, sight, self._settings)

    async def state_size(self, server_id: UUID) -> int:
        """What tar counts."""
        return await state.size(await self._inventory.existing(server_id))

    async def read_state(self, server_id: UUID) -> AsyncGenerator[bytes]:
        """The state folder and the workspace, which lie beside each other here."""
        async with (
            self._inventory.holding(server_id),
            aclosing(state.read(await self._inventory.existing(server_id))) as chunks,
        ):
            async for chunk in chunks:
                yield chunk

    async def write_state(self, server_id: UUID, chunks: AsyncIterator[bytes]) -> None:
        """Into both folders; the plugins are to be installed again, since the databases know nothing of these here."""
        async with self._inventory.holding(server_id):
            sight = await self._inventory.existing(server_id)
            await state.write(sight, chunks)
            await asyncio.to_thread(sight.files.write, sight.require_record().model_copy(update={"plugins": []}))

    async def supervise(self) -> list[Server]:
        """One round over every server nobody works on: restart what vanished, stop what takes too much, keep logs small.

        Answers the servers it did something about. The inventory loop calls it every few seconds.
        """
        ids = await self._inventory.ids()
        handled = await asyncio.gather(*(passing_over(server_id, self._supervise_one(server_id)) for server_id in ids))
        return [server for server in handled if server is not None]

    async def park(self) -> int:
        """Stop every gateway because the platform goes down, not because somebody asked; supervision brings them back. Answers how many."""
        return sum(await asyncio.gather(*(self._park_one(server_id) for server_id in await self._inventory.ids())))

    async def _supervise_one(self, server_id: UUID) -> Server | None:
        await self.observe(server_id)
        async with self._inventory.holding(server_id, patience=0), self._one_launch:
            sight = await self._inventory.look(server_id)
            acted = await self._lifecycle.supervise(sight, may_launch=self._may_launch)
            return await self._server(server_id) if acted else None

    async def _park_one(self, server_id: UUID) -> bool:
        async with self._inventory.holding(server_id):
            return await self._lifecycle.park(await self._inventory.look(server_id))

    async def _has_started(self, sight: Sight) -> bool:
        record = sight.record
        if record is None or record.launch is None or record.configured is None:
            return False
        client = GatewayClient(f"http://{HOST}:{record.port}", record.configured.identity, http=self._http)
        try:
            started = (await client.startup()).started
        except GatewayError:
            return False
        if started:
            await asyncio.to_thread(sight.files.mark_ready, record.launch)
        return started

    async def _ensure_plugins(self, sight: Sight, channels: Collection[Channel], progress: Progress) -> ServerRecord:
        """Install the plugins that are missing and remember them; a state directory's plugins live as long as it does."""
        record, files = sight.require_record(), sight.files
        for channel in channels:
            spec = plugin_spec(channel)
            if spec is None or channel in record.plugins:
                continue
            await progress(f"Installing the {channel} plugin (about 30 s)")
            environment = files.environment(self._tools.search_path) | sight.cell.marker
            await install_plugin(
                channel, spec, tools=self._tools, environment=environment, home=files.home, owner=record.owner
            )
            record = record.model_copy(update={"plugins": [*record.plugins, channel]})
            await asyncio.to_thread(files.write, record)
        return record

    def _require_room(self) -> None:
        home = self._settings.instances_dir
        home.mkdir(parents=True, exist_ok=True)
        if self._settings.own_uids:
            home.chmod(0o711)
        free = free_bytes(home)
        if free is not None and free < self._settings.disk_minimum_bytes:
            raise ProviderUnavailable(f"the disk is almost full ({free // 1_000_000} MB free)", retry_after=60)

    async def _server(self, server_id: UUID) -> Server:
        return await asyncio.to_thread(as_server, await self._inventory.look(server_id), self._settings)


def _record(spec: ServerSpec, reservation: Reservation) -> ServerRecord:
    return ServerRecord(
        **dataclasses.asdict(spec),
        port=reservation.port,
        uid=reservation.uid,
        created_at=datetime.now(UTC),
    )


def _configured(bundle: Bundle, channels: Collection[Channel]) -> Configured:
    roomy = bundle.config.plugins == "full" or any(plugin_spec(channel) for channel in channels)
    return Configured(version=bundle.version, identity=bundle.config.identity, channels=list(channels), roomy=roomy)


def _placement(port: int, sight: Sight) -> Placement:
    return Placement(
        port=port,
        bind="loopback",
        trusted_proxies=(HOST,),
        allow_loopback=True,
        workspace=PurePosixPath(sight.files.workspace),
        log_file=PurePosixPath(sight.files.own_log),
    )

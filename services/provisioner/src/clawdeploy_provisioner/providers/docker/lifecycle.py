"""Starting, stopping, watching and removing a cell; the caller holds the server's lock."""

import asyncio
import secrets
import time
from typing import Any

import structlog

from clawdeploy_common.errors import PermanentError
from clawdeploy_provisioner.providers.docker import journal
from clawdeploy_provisioner.providers.docker.anchor import PLATFORM, SERVER, secrets_volume, state_volume
from clawdeploy_provisioner.providers.docker.cells import Cells
from clawdeploy_provisioner.providers.docker.engine import Engine, Missing, PortTaken
from clawdeploy_provisioner.providers.docker.ports import HostPorts
from clawdeploy_provisioner.providers.docker.record import Failure
from clawdeploy_provisioner.providers.docker.settings import DockerSettings
from clawdeploy_provisioner.providers.docker.sight import Container, Sight, Sights, labels_of
from clawdeploy_provisioner.providers.docker.supervision import Decision, Restarts, Verdict, decide, why_hopeless
from clawdeploy_provisioner.providers.protocol import ExitedBeforeReady, ProviderError, ProviderUnavailable

log = structlog.get_logger()

_UP_AFTER = 0.5
_STOP_SECONDS = 5
_DRAIN_SECONDS = 30
_PORT_TRIES = 20
_EVENTS_SECONDS = 300


class NotConfigured(ProviderError, PermanentError):
    """A server was to start before a configuration was written."""

    code = "not-configured"


class Lifecycle:
    """The verbs over one cell."""

    def __init__(self, settings: DockerSettings, cells: Cells, sights: Sights) -> None:
        self._settings = settings
        self._cells = cells
        self._sights = sights
        self._ports = HostPorts(settings)
        self.restarts = Restarts(settings.restart_window_seconds)

    async def start(self, sight: Sight) -> Sight:
        """Start the container because somebody asked; it is made when it is missing, moved when its port is taken.

        Raises:
            ExitedBeforeReady: it ended within half a second.
        """
        sight = await self._cells.ensure(sight)
        container, record = sight.container, sight.kept.record
        if container is None:
            raise Missing(f"server {sight.server_id} has no container")
        if container.profile.is_openclaw and record.version is None:
            raise NotConfigured(f"server {sight.server_id} has no configuration yet")
        if container.status == "paused":
            await sight.engine.ask(lambda api: api.unpause(container.id))
            sight = await self._look(sight)
        if sight.container is not None and sight.container.is_up and record.failure is None:
            return await self._cells.write(sight, record.model_copy(update={"desired": "running", "parked": False}))
        return await self._start_anew(sight)

    async def stop(self, sight: Sight, *, drain: bool) -> Sight:
        """Bring it down; the wish is written first, so that nobody starts it meanwhile."""
        if sight.container is None:
            return sight
        changes = {"desired": "stopped", "failure": None, "parked": False}
        sight = await self._cells.write(sight, sight.kept.record.model_copy(update=changes))
        await self._end(sight, seconds=_DRAIN_SECONDS if drain else _STOP_SECONDS)
        return await self._look(sight)

    async def park(self, sight: Sight) -> bool:
        """Bring it down but keep the wish that it runs."""
        container, record = sight.container, sight.kept.record
        if container is None or container.status not in {"running", "restarting"}:
            return False
        await self._cells.write(sight, record.model_copy(update={"parked": True}))
        await self._end(sight, seconds=_STOP_SECONDS)
        return True

    async def destroy(self, sight: Sight) -> None:
        """Remove its containers, its network and its volumes, the anchor last.

        Raises:
            ProviderUnavailable: something of it is still there.
        """
        engine, server_id = sight.engine, sight.server_id
        everything = self._sights.mine(f"{SERVER}={server_id}")
        for raw in await engine.containers(lambda: everything):
            await engine.find(lambda api, each=raw["Id"]: api.remove_container(each, force=True, v=True))
            self._sights.forget(raw["Id"])
            self.restarts.forget(raw["Id"])
        for raw in await engine.ask(lambda api: api.networks(filters=everything)):
            await engine.find(lambda api, each=raw["Id"]: api.remove_network(each))
        for volume in (secrets_volume(server_id), state_volume(server_id)):
            await self._remove_volume(engine, volume)
        if server_id in await self._sights.ids(engine):
            raise ProviderUnavailable(f"server {server_id} is not gone yet", retry_after=5)

    async def supervise(self, sight: Sight, *, disk_free: int | None) -> bool:
        """Do what the decision says; True when that was something."""
        restarts = self.restarts.within(sight.container)
        decision = decide(sight, self._settings, restarts=restarts, disk_free=disk_free)
        if decision.verdict is Verdict.NOTHING:
            return False
        log.warning(
            "server.supervised", server_id=str(sight.server_id), verdict=decision.verdict, reason=decision.reason
        )
        await self._obey(sight, decision)
        return True

    async def failure_now(self, sight: Sight) -> Failure | None:
        """What supervision will report in its next round; who waits for a start must not wait for that."""
        reason = why_hopeless(sight, self._settings, restarts=self.restarts.within(sight.container))
        return None if reason is None else await self._failure(sight, reason)

    async def _obey(self, sight: Sight, decision: Decision) -> None:
        record = sight.kept.record
        match decision.verdict:
            case Verdict.RENAME:
                await self._rename(sight)
            case Verdict.RESUME:
                await self._start_anew(sight)
            case Verdict.NOTE_FULL_DISK:
                await self._cells.write(sight, record.model_copy(update={"disk_was_full": True}))
            case Verdict.RENEW_AFTER_FULL_DISK:
                await self._end(sight, seconds=_STOP_SECONDS)
                await self._start_anew(sight)
            case _:
                await self._give_up(sight, await self._failure(sight, decision.reason))

    async def _start_anew(self, sight: Sight) -> Sight:
        """Start what is not up, or is being restarted over and over; earlier failures are forgotten."""
        if sight.container is not None and sight.container.status == "restarting":
            await self._end(sight, seconds=_STOP_SECONDS)
        sight = await self._cells.ensure(sight)
        changes = {"desired": "running", "start": secrets.token_hex(8)}
        changes |= {"failure": None, "disk_was_full": False, "parked": False}
        sight = await self._cells.write(sight, sight.kept.record.model_copy(update=changes))
        sight = await self._start_somewhere(sight)
        await asyncio.sleep(_UP_AFTER)
        return await self._require_up(await self._look(sight))

    async def _start_somewhere(self, sight: Sight) -> Sight:
        """Start it on its port, or on the next free one when something else has that."""
        refused: set[int] = set()
        for _ in range(_PORT_TRIES):
            container = sight.container
            if container is None:
                raise Missing(f"server {sight.server_id} has no container")
            try:
                await sight.engine.ask(lambda api, each=container.id: api.start(each))
            except PortTaken:
                refused.add(container.port)
            else:
                return sight
            async with self._ports.choosing(sight.engine):
                port = await self._ports.free(sight.engine, but=refused)
                log.warning("port.taken", server_id=str(sight.server_id), taken=container.port, next=port)
                sight = await self._cells.move(sight, port=port)
        raise ProviderUnavailable(f"none of {_PORT_TRIES} host ports was free when it was to be used", retry_after=10)

    async def _require_up(self, sight: Sight) -> Sight:
        container = sight.container
        if container is not None and container.is_up and not container.restarts:
            return sight
        failure = await self._failure(sight, "at once")
        await self._give_up(sight, failure)
        raise ExitedBeforeReady(failure.exit_code, failure.last_lines)

    async def _give_up(self, sight: Sight, failure: Failure) -> None:
        await self._cells.write(sight, sight.kept.record.model_copy(update={"failure": failure}))
        await self._end(sight, seconds=_STOP_SECONDS)

    async def _failure(self, sight: Sight, when: str) -> Failure:
        container = sight.container
        if container is None:
            return Failure(reason="its container vanished", before_ready=True)
        code = await sight.engine.ask(lambda api: _last_exit_code(api, container))
        why = "it used more memory than its plan has" if container.was_out_of_memory else "OpenClaw ended by itself"
        redactor = sight.kept.record.redactor
        lines = await journal.last_lines(sight.engine, container.id, count=journal.LAST_LINES, redactor=redactor)
        reason = f"{why} (exit code {code}) {when}"
        return Failure(reason=reason, exit_code=code, last_lines=lines, before_ready=not sight.kept.was_ready)

    async def _end(self, sight: Sight, *, seconds: int) -> None:
        for container in sight.containers:
            await sight.engine.find(lambda api, each=container: _stop(api, each.id, each.status, seconds))

    async def _rename(self, sight: Sight) -> None:
        container, name = sight.container, sight.require_anchor().container
        if container is not None:
            await sight.engine.ask(lambda api: api.rename(container.id, name))

    async def _remove_volume(self, engine: Engine, name: str) -> None:
        found = await engine.find(lambda api: api.inspect_volume(name))
        if labels_of(found).get(PLATFORM) == self._settings.platform:
            await engine.find(lambda api: api.remove_volume(name))

    async def _look(self, sight: Sight) -> Sight:
        return await self._sights.look(sight.engine, sight.server_id, fresh=True)


def _last_exit_code(api: Any, container: Container) -> int | None:
    """How it ended last. While it runs again the engine shows none, and its latest events tell."""
    if not container.is_up:
        return container.exit_code
    now = time.time()
    filters = {"container": container.id, "event": "die"}
    events = list(api.events(since=f"{now - _EVENTS_SECONDS:.9f}", until=f"{now:.9f}", filters=filters, decode=True))
    return int(events[-1]["Actor"]["Attributes"]["exitCode"]) if events else None


def _stop(api: Any, container: str, status: str, seconds: int) -> None:
    if status == "paused":  # a frozen process hears no signal
        api.unpause(container)
    api.stop(container, timeout=seconds)

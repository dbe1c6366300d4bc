"""Starting, stopping, watching and removing the processes of a server; the caller holds the server's lock."""

import asyncio
import dataclasses
import os
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog

from clawdeploy_common.errors import PermanentError
from clawdeploy_provisioner.openclaw.tree import Tools
from clawdeploy_provisioner.providers.process import journal
from clawdeploy_provisioner.providers.process.record import ServerRecord
from clawdeploy_provisioner.providers.process.settings import ProcessSettings
from clawdeploy_provisioner.providers.process.sight import Sight, failure_now, recent
from clawdeploy_provisioner.providers.process.supervision import LAUNCHES, Decision, Verdict, decide
from clawdeploy_provisioner.providers.protocol import (
    ExitedBeforeReady,
    ProviderError,
    ProviderUnavailable,
    ServerNotFound,
)

log = structlog.get_logger()

_UP_AFTER = 0.5
_STOP_SECONDS = 5.0
_DRAIN_SECONDS = 30.0
_SHARED_FOLDERS = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))  # noqa: S108 - swept, never written


class NotConfigured(ProviderError, PermanentError):
    """A server was to start before a configuration was written."""

    code = "not-configured"


class Lifecycle:
    """The verbs over one server's processes."""

    def __init__(self, settings: ProcessSettings, tools: Tools) -> None:
        self._settings = settings
        self._tools = tools

    async def start(self, sight: Sight) -> None:
        """Launch the gateway because somebody asked; earlier failures and restarts are forgotten.

        Raises:
            ExitedBeforeReady: it ended within half a second.
        """
        record = sight.require_record()
        if sight.gateway is not None:
            await _write(sight, record.model_copy(update={"desired": "running"}))
            return
        wanted = record.model_copy(
            update={"desired": "running", "failure": None, "restarts": [], "launch": None, "disk_was_full": False}
        )
        await _write(sight, wanted)
        await self._launch(sight, wanted, automatic=False)
        await asyncio.sleep(_UP_AFTER)
        await self._require_up(sight)

    async def stop(self, sight: Sight, *, drain: bool) -> None:
        """Bring everything of the server down; the wish is written first, so that nobody restarts it meanwhile."""
        if sight.record is not None:
            await _write(sight, sight.record.model_copy(update={"desired": "stopped", "failure": None}))
        await self._end(sight, seconds=_DRAIN_SECONDS if drain else _STOP_SECONDS)

    async def park(self, sight: Sight) -> bool:
        """Bring it down but keep the wish that it runs."""
        record = sight.record
        if record is None or sight.gateway is None:
            return False
        await self._end(sight, seconds=_STOP_SECONDS)
        await _write(sight, record.model_copy(update={"launch": None}))
        return True

    async def destroy(self, sight: Sight) -> None:
        """Bring it down and remove its files.

        Raises:
            ProviderUnavailable: something of it is still there.
        """
        await self.stop(sight, drain=False)
        await asyncio.to_thread(sight.files.remove)
        if sight.cell.uid is not None:
            await asyncio.to_thread(_sweep, sight.cell.uid)
        if sight.files.path.exists() or await asyncio.to_thread(sight.cell.members):
            raise ProviderUnavailable(f"server {sight.server_id} is not gone yet", retry_after=5)

    async def supervise(self, sight: Sight, *, may_launch: Callable[[], Awaitable[bool]]) -> bool:
        """Do what the decision says; True when that was something. A launch waits for a later round while ``may_launch`` says no."""
        decision = decide(sight, self._settings)
        await asyncio.to_thread(
            journal.rotate, sight.files.log, above=self._settings.log_bytes, kept=self._settings.logs_kept
        )
        if decision.verdict is Verdict.NOTHING or (decision.verdict in LAUNCHES and not await may_launch()):
            return False
        record = sight.require_record()
        log.warning(
            "server.supervised", server_id=str(sight.server_id), verdict=decision.verdict, reason=decision.reason
        )
        match decision.verdict:
            case Verdict.RESUME:
                await self._launch(sight, record, automatic=True)
            case Verdict.RESTART:
                restarts = [*recent(record, self._settings), datetime.now(UTC)]
                await self._launch(sight, record.model_copy(update={"restarts": restarts}), automatic=True)
            case Verdict.NOTE_FULL_DISK:
                await _write(sight, record.model_copy(update={"disk_was_full": True}))
            case Verdict.RENEW_AFTER_FULL_DISK:
                await self._end(sight, seconds=_STOP_SECONDS)
                await self._launch(sight, record.model_copy(update={"disk_was_full": False}), automatic=True)
            case _:
                await self._give_up(sight, record, decision)
        return True

    async def _give_up(self, sight: Sight, record: ServerRecord, decision: Decision) -> None:
        failure = await asyncio.to_thread(failure_now, sight, decision.reason)
        await _write(sight, record.model_copy(update={"failure": failure}))
        await self._end(sight, seconds=_STOP_SECONDS)

    async def _launch(self, sight: Sight, record: ServerRecord, *, automatic: bool) -> None:
        if record.configured is None:
            raise NotConfigured(f"server {sight.server_id} has no configuration yet")
        await asyncio.to_thread(self._clear, sight)
        files = sight.files
        environment = files.environment(self._tools.search_path) | await asyncio.to_thread(files.read_secrets)
        if not record.configured.channels:
            environment["OPENCLAW_SKIP_CHANNELS"] = "1"
        launch = await asyncio.to_thread(
            sight.cell.launch,
            self._tools.command(
                "gateway", "run", node_flags=heap_flags(record.memory_mb, roomy=record.configured.roomy)
            ),
            environment=environment,
            log=files.log,
            directory=files.workspace,
            automatic=automatic,
        )
        await _write(sight, record.model_copy(update={"launch": launch}))
        log.info("gateway.launched", server_id=str(sight.server_id), pid=launch.pid, automatic=automatic)

    def _clear(self, sight: Sight) -> None:
        """End what an earlier gateway left running: it would hold the databases and the port."""
        if not sight.cell.kill():
            raise ProviderUnavailable(f"processes of server {sight.server_id} do not end", retry_after=5)

    async def _require_up(self, sight: Sight) -> None:
        record = await asyncio.to_thread(sight.files.read)
        if record is None:
            raise ServerNotFound(sight.server_id)
        if await asyncio.to_thread(sight.cell.gateway, record.launch) is None:
            failure = await asyncio.to_thread(
                failure_now, dataclasses.replace(sight, record=record), "OpenClaw ended at once"
            )
            await _write(sight, record.model_copy(update={"failure": failure}))
            raise ExitedBeforeReady(failure.exit_code, failure.last_lines)

    async def _end(self, sight: Sight, *, seconds: float) -> None:
        launch = None if sight.record is None else sight.record.launch
        await asyncio.to_thread(sight.cell.terminate, launch)
        await _until(lambda: sight.cell.gateway(launch) is None, seconds=seconds)
        if not await asyncio.to_thread(sight.cell.kill):
            raise ProviderUnavailable(f"processes of server {sight.server_id} do not end", retry_after=5)


def heap_flags(memory_mb: int, *, roomy: bool) -> tuple[str, ...]:
    """V8's limits for the gateway's main heap: a quarter of the plan's memory, three eighths when it loads more plugins.

    The lean set was seen to work from 320 MB on; with Discord and WhatsApp 400 MB are used after the first chat.
    """
    heap = memory_mb * 3 // 8 if roomy else memory_mb // 4
    return (f"--max-old-space-size={min(1024, max(320, heap))}", "--max-semi-space-size=4")


async def _write(sight: Sight, record: ServerRecord) -> None:
    with suppress(FileNotFoundError):  # the directory was removed under us: the server is gone, its processes are not
        await asyncio.to_thread(sight.files.write, record)


async def _until(condition: Callable[[], bool], *, seconds: float) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not await asyncio.to_thread(condition) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - a process that is not our child sends no event
        await asyncio.sleep(0.05)


def _sweep(uid: int) -> None:
    """Remove what the uid left in folders everybody may write to, so that its next owner finds nothing of it."""
    for folder in _SHARED_FOLDERS:
        for entry in os.scandir(folder) if folder.is_dir() else ():
            with suppress(FileNotFoundError):
                if entry.stat(follow_symlinks=False).st_uid != uid:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                else:
                    Path(entry.path).unlink()

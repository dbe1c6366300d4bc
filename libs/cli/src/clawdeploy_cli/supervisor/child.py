"""One process under supervision: started, watched until ready, started again when it ends, stopped in order."""

import asyncio
import contextlib
import os
from asyncio.subprocess import Process
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from clawdeploy_cli.processes import ProcessIdentity, identify
from clawdeploy_cli.supervisor.backoff import Backoff
from clawdeploy_cli.supervisor.forked import Forked, fork
from clawdeploy_cli.supervisor.logs import open_log
from clawdeploy_cli.supervisor.spec import ProcessSpec
from clawdeploy_cli.supervisor.state import ServiceRecord, ServiceState

STARTING_POLL_S = 0.1
READY_POLL_S = 5.0

log = structlog.get_logger()


class Child:
    """A process and what is known about it. `changed` is called whenever that changes."""

    def __init__(self, spec: ProcessSpec, *, changed: Callable[[], None]) -> None:
        self.spec = spec
        self.was_ready = asyncio.Event()
        self._changed = changed
        self._process: Process | Forked | None = None
        self._identity: ProcessIdentity | None = None
        self._state = ServiceState.STARTING
        self._since = datetime.now(UTC)
        self._reason: str | None = None
        self._restarts = 0
        self._backoff = Backoff()

    @property
    def record(self) -> ServiceRecord:
        """What others may know about it now."""
        return ServiceRecord(
            name=self.spec.name,
            state=self._state,
            since=self._since,
            identity=self._identity,
            address=self.spec.address,
            log=self.spec.log,
            restarts=self._restarts,
            reason=self._reason,
        )

    async def run(self) -> None:
        """Keep it running until cancelled; cancelling leaves the process to `stop`."""
        if not self.spec.argv:
            await self._watch()
        while True:
            self._reason = await self._live_once()
            delay = self._note_exit()
            log.warning("process.ended", process=self.spec.name, reason=self._reason, restart_in_s=delay)
            await asyncio.sleep(delay)
            self._restarts += 1

    async def stop(self) -> None:
        """Ask it to end, insist after its grace period, return when it is gone."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(self.spec.stop_signal)
        try:
            async with asyncio.timeout(self.spec.stop_grace_s):
                await process.wait()
        except TimeoutError:
            log.warning("process.killed", process=self.spec.name, after_s=self.spec.stop_grace_s)
            process.kill()
            await process.wait()
        log.info("process.stopped", process=self.spec.name, exit_code=process.returncode)

    async def _live_once(self) -> str:
        """One life of the process, from its preparation to its end; answers how it ended."""
        try:
            if self.spec.prepare is not None:
                await self.spec.prepare()
            process = await self._spawn()
        except Exception as error:  # noqa: BLE001 - whatever prevents a start is shown, and tried again
            return f"could not be started: {error}"
        watch = asyncio.create_task(self._watch())
        try:
            code = await process.wait()
        finally:
            watch.cancel()
        self._identity = None
        return f"ended with exit code {code}" if code >= 0 else f"ended by signal {-code}"

    async def _spawn(self) -> Process | Forked:
        descriptor = open_log(self.spec.log)
        try:
            self._process = await _started(self.spec, output=descriptor)
        finally:
            os.close(descriptor)
        self._identity = identify(self._process.pid)
        log.info("process.started", process=self.spec.name, pid=self._process.pid)
        self._changed()
        return self._process

    async def _watch(self) -> None:
        """Follow readiness for as long as the process lives; a process that stops answering is shown, not killed."""
        while True:
            ready = await self._is_ready()
            if ready and self._state is not ServiceState.READY:
                self._become(ServiceState.READY)
                self.was_ready.set()
                log.info("process.ready", process=self.spec.name)
            elif not ready and self._state is ServiceState.READY:
                self._become(ServiceState.STARTING)
                log.warning("process.unready", process=self.spec.name)
            await asyncio.sleep(READY_POLL_S if ready else STARTING_POLL_S)

    async def _is_ready(self) -> bool:
        try:
            if not await self.spec.is_ready():
                return False
            if self._state is not ServiceState.READY and self.spec.on_ready is not None:
                await self.spec.on_ready()
        except Exception as error:  # noqa: BLE001 - shown as the reason, and tried again
            self._reason = f"{type(error).__name__}: {error}"
            self._changed()
            return False
        return True

    def _note_exit(self) -> float:
        now = asyncio.get_running_loop().time()
        delay = self._backoff.exited(now)
        self._become(ServiceState.FAILED if self._backoff.has_failed(now) else ServiceState.STARTING)
        return delay

    def _become(self, state: ServiceState) -> None:
        self._state, self._since = state, datetime.now(UTC)
        if state is ServiceState.READY:
            self._reason = None
        self._changed()


async def _started(spec: ProcessSpec, *, output: int) -> Process | Forked:
    if spec.warm_parent is not None:
        return await fork(spec.warm_parent, argv=spec.argv, environment=spec.environment, log=output)
    return await asyncio.create_subprocess_exec(
        *spec.argv,
        env=spec.environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )

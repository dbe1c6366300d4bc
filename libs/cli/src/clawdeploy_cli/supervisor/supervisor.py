"""All processes of one platform under one roof."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import structlog

from clawdeploy_cli.processes import ProcessIdentity
from clawdeploy_cli.supervisor.child import Child
from clawdeploy_cli.supervisor.logs import rotate
from clawdeploy_cli.supervisor.spec import Hook, ProcessSpec
from clawdeploy_cli.supervisor.state import PlatformRecord, write_record

ROTATE_EVERY_S = 10.0

log = structlog.get_logger()


class Supervisor:
    """Runs the given processes until told to stop.

    Args:
        specs: the processes, any order.
        state_file: where `PlatformRecord`s are written; it is removed after an orderly stop.
        identity: the process that runs this supervisor.
        url: the gateway's public address.
        stand_in: whether a stand-in answers instead of the real OpenRouter.
        between: runs in the shutdown after stage 0 (the services) is gone, before the engines are asked.
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        *,
        state_file: Path,
        identity: ProcessIdentity,
        url: str = "",
        stand_in: bool = False,
        between: Hook | None = None,
    ) -> None:
        self._children = {spec.name: Child(spec, changed=self._write) for spec in specs}
        self._state_file = state_file
        self._identity = identity
        self._url = url
        self._stand_in = stand_in
        self._between = between
        self._started_at = datetime.now(UTC)
        self._stopping = False

    @property
    def record(self) -> PlatformRecord:
        """The platform as it is now."""
        return PlatformRecord(
            supervisor=self._identity,
            started_at=self._started_at,
            url=self._url,
            stand_in=self._stand_in,
            stopping=self._stopping,
            services=[child.record for child in self._children.values()],
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Start everything in order, keep it running until `stop` is set, then end everything in order."""
        self._write()
        tasks = [asyncio.create_task(self._keep(child)) for child in self._children.values()]
        tasks.append(asyncio.create_task(self._rotate_logs()))
        await stop.wait()
        self._stopping = True
        self._write()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._stop_in_order()
        self._state_file.unlink(missing_ok=True)

    async def _keep(self, child: Child) -> None:
        for name in child.spec.needs:
            await self._children[name].was_ready.wait()
        await child.run()

    async def _stop_in_order(self) -> None:
        ordered = sorted(self._children.values(), key=lambda child: child.spec.stop_stage)
        for stage, children in groupby(ordered, key=lambda child: child.spec.stop_stage):
            await _stop_together(children)
            if stage == 0 and self._between is not None:
                await self._between()

    async def _rotate_logs(self) -> None:
        while True:
            await asyncio.sleep(ROTATE_EVERY_S)
            for child in self._children.values():
                rotate(child.spec.log)

    def _write(self) -> None:
        write_record(self._state_file, self.record)


async def _stop_together(children: Iterable[Child]) -> None:
    await asyncio.gather(*(child.stop() for child in children))

"""Steps about what the agent knows: saved from the old server before it goes, restored on the new one before it starts."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from sqlalchemy import text

from clawdeploy_common.errors import PermanentError
from clawdeploy_common.work import UnitOfWork
from clawdeploy_provisioner import servers
from clawdeploy_provisioner.kept_state.archive import Archive, KeptStates
from clawdeploy_provisioner.operations import store
from clawdeploy_provisioner.operations.context import Record, StepContext
from clawdeploy_provisioner.operations.steps import Step, Verb
from clawdeploy_provisioner.providers.protocol import Provider
from clawdeploy_provisioner.steps.machines import MachineSteps

PROMISE = "What it knew is kept: redeploy it with its state (--keep-state) to get it back."
MEGABYTE = 1_000_000
_TOLD_AT_LEAST_EVERY = 4 * MEGABYTE
_TELLINGS = 10
_WRITTEN_PER_S = MEGABYTE
"""How slow an attempt at a restoration may be, on top of a call's own time."""

_MOVED = text(  # a copy that begins anew again and again gets nowhere
    """
    UPDATE operations SET stalled_seconds = 0
    WHERE id = :id AND (SELECT attempts FROM operation_steps WHERE operation_id = :id AND name = :step) <= 5
    """
)
_WANTED = text("SELECT wanted FROM instances WHERE id = :id")
_RESTORED = text("SELECT 1 FROM operation_steps WHERE operation_id = :id AND name = 'restore_state' AND state = 'done'")
_NOT_STARTED = text("UPDATE instances SET wanted = 'stopped' WHERE id = :id")
_PROMISED = text("UPDATE operations SET error = error || :promise WHERE id = :id AND error IS NOT NULL")


class StateTooLarge(PermanentError):
    """There is more of it than the platform keeps."""

    code = "state-too-large"
    title = "The agent's state is too large to be kept"

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"its state takes {_megabytes(size)} MB, and CLAWDEPLOY_KEPT_STATE_MAX_MB allows {_megabytes(limit)}; "
            "nothing was changed: remove files from its workspace, or redeploy it without its state"
        )


class StateDamaged(PermanentError):
    """What is kept is not what was saved."""

    code = "state-damaged"

    def __init__(self) -> None:
        super().__init__("what was kept of its state is damaged")


class StateSteps:
    """Save and restore; ``start`` brings back an agent whose state could not be saved. ``most`` is in bytes."""

    def __init__(self, machines: MachineSteps, states: KeptStates, *, start: Verb, most: int) -> None:
        self._machines = machines
        self._states = states
        self._start = start
        self._most = most

    def steps(self) -> dict[str, Step]:
        """By name."""
        return {"save_state": Step(self.save, undo=self.undo), "restore_state": Step(self.restore)}

    async def save(self, context: StepContext) -> Record | None:
        """Stop the agent, so that its databases stand still, and keep its state; what an earlier operation kept is used instead.

        Raises StateTooLarge, before the agent is stopped.
        """
        async with context.transaction() as unit:
            kept = await self._states.find(unit, context.operation.instance_id)
            row = await servers.live(unit, context.operation.instance_id)
        if kept is not None:
            await context.say(f"{_megabytes(kept.bytes)} MB are kept from an earlier deployment")
            return None
        if row is None:
            await context.say("It has no server: there is no state to keep")
            return None
        provider = self._machines.provider(context)
        size = await provider.state_size(row.id)
        self._require_room(size)
        async with context.call(self._machines.call_s):
            await provider.stop(row.id, drain=False)
        archive = await self._saved(context, provider, row, size)
        await context.say(f"{_megabytes(archive.bytes)} MB are kept")
        return lambda unit: self._states.complete(unit, archive, row.id)

    async def _saved(self, context: StepContext, provider: Provider, row: Any, size: int) -> Archive:
        async with context.transaction() as unit:
            archive = await self._states.begin(unit, context.operation)
        digest, telling = hashlib.sha256(), _Telling(context, size)
        async with aclosing(provider.read_state(row.id)) as chunks:
            async for chunk in chunks:
                digest.update(chunk)
                async with context.transaction() as unit:
                    await self._states.add(unit, archive, archive.chunks, chunk)
                    await _moved(unit, context)
                archive = replace(archive, chunks=archive.chunks + 1, bytes=archive.bytes + len(chunk))
                self._require_room(archive.bytes)
                await telling.reached(archive.bytes)
                await context.sleep(0)  # a cancellation is heard here
        return replace(archive, sha256=digest.hexdigest())

    def _require_room(self, size: int) -> None:
        if size > self._most:
            raise StateTooLarge(size, self._most)

    async def undo(self, context: StepContext) -> Record | None:
        """While the old server stands, start its agent again and keep nothing of what was read; what is nowhere else stays."""
        operation = context.operation
        async with context.transaction() as unit:
            row = await servers.live(unit, operation.instance_id)
            kept = await self._states.find(unit, operation.instance_id)
            if await unit.session.scalar(_RESTORED, {"id": operation.id}) is not None:
                return None if kept is None else self._promised(context)
            if kept is not None and (row is None or kept.held_by != row.id):
                return self._promised(context)
            if kept is None or kept.saved_by == operation.id:
                await self._states.forget(unit, operation.instance_id)
            runs = await unit.session.scalar(_WANTED, {"id": operation.instance_id}) == "running"
        return await self._start(context) if runs and row is not None else None

    def _promised(self, context: StepContext) -> Record:
        async def record(unit: UnitOfWork) -> None:
            await unit.session.execute(_PROMISED, {"id": context.operation.id, "promise": f". {PROMISE}"})
            await store.write_output(unit.session, context.operation, step=context.step, lines=[PROMISE])

        return record

    async def restore(self, context: StepContext) -> Record | None:
        """Write what is kept to the new server, where nothing runs yet."""
        row = await self._machines.server_row(context)
        async with context.transaction() as unit:
            archive = await self._states.find(unit, context.operation.instance_id)
        if archive is None:
            return None
        seconds = self._machines.call_s + archive.bytes / _WRITTEN_PER_S
        async with context.call(seconds), aclosing(self._read(context, archive)) as chunks:
            await self._machines.provider(context).write_state(row.id, chunks)

        async def record(unit: UnitOfWork) -> None:
            await self._states.restored(unit, archive, row.id)
            await unit.session.execute(_NOT_STARTED, {"id": context.operation.instance_id})

        return record

    async def _read(self, context: StepContext, archive: Archive) -> AsyncGenerator[bytes]:
        """Each chunk under the lease: who has lost it writes nothing more. Raises StateDamaged, SealBroken."""
        digest, telling, done = hashlib.sha256(), _Telling(context, archive.bytes), 0
        for number in range(archive.chunks):
            async with context.transaction() as unit:
                chunk = await self._states.read(unit, archive, number)
                await _moved(unit, context)
            digest.update(chunk)
            yield chunk
            done += len(chunk)
            await telling.reached(done)
        if digest.hexdigest() != archive.sha256:
            raise StateDamaged


async def _moved(unit: UnitOfWork, context: StepContext) -> None:
    await unit.session.execute(_MOVED, {"id": context.operation.id, "step": context.step})


class _Telling:
    """Says how far it is, about ten times."""

    def __init__(self, context: StepContext, size: int) -> None:
        self._context = context
        self._size = size
        self._every = max(size // _TELLINGS, _TOLD_AT_LEAST_EVERY)
        self._next = self._every

    async def reached(self, done: int) -> None:
        if self._next <= done < self._size:
            self._next = done + self._every
            await self._context.say(f"{_megabytes(done)} of {_megabytes(self._size)} MB")


def _megabytes(size: int) -> int:
    """Rounded up: nothing is 0 MB."""
    return -(-size // MEGABYTE)

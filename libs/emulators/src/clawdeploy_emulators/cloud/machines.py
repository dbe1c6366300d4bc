"""What stands behind a server: nothing at all, or a whole machine. The API does not know which."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

import structlog

log = structlog.get_logger()

Keep = Callable[[frozenset[str]], Awaitable[None]]
"""Told which servers there are, removes the machines of others."""

Script = Callable[[str, str], Awaitable[None]]
"""Plays what a machine would do, given its user data and its address, until it is cancelled."""


@runtime_checkable
class Remembering(Protocol):
    """A script with a memory of each machine, which stands for its disk."""

    def forget(self, user_data: str) -> None:
        """The disk was wiped."""
        ...


@dataclass(frozen=True, kw_only=True)
class FirstBoot:
    """What a server is given when it comes up for the first time; ``address`` is empty for one without IPv4."""

    user_data: str = ""
    address: str = ""
    hostname: str = ""
    public_keys: tuple[str, ...] = ()
    memory_mb: int = 2048


class Machine(Protocol):
    """One machine. Each call returns when it is done; a power-off or delete of one that is off or gone is no error."""

    async def boot(self, first: FirstBoot) -> None:
        """Come up for the first time, with what it is given."""
        ...

    async def power_on(self) -> None:
        """Come up again with the disk as it was."""
        ...

    async def power_off(self) -> None:
        """Stop at once; the disk stays."""
        ...

    async def rebuild(self, first: FirstBoot) -> None:
        """Come up for the first time once more, on an empty disk."""
        ...

    async def delete(self) -> None:
        """Cease to be."""
        ...


class HollowMachine:
    """No machine: a script plays what would run on it, while it is on. Without a script nothing happens."""

    def __init__(self, server_id: str, *, script: Script | None = None) -> None:
        self._server_id = server_id
        self._script = script
        self._first = FirstBoot()
        self._playing: asyncio.Task[None] | None = None

    async def boot(self, first: FirstBoot) -> None:
        """Begin the script."""
        self._first = first
        await self.power_on()

    async def power_on(self) -> None:
        """Begin the script (again)."""
        await self.power_off()
        if self._script is not None:
            self._playing = asyncio.create_task(self._play(self._script))

    async def power_off(self) -> None:
        """End the script."""
        if self._playing is not None:
            self._playing.cancel()
            with suppress(asyncio.CancelledError):
                await self._playing
            self._playing = None

    async def rebuild(self, first: FirstBoot) -> None:
        """Begin the script anew; what it remembered is gone."""
        await self.power_off()
        if isinstance(self._script, Remembering):
            self._script.forget(first.user_data)
        await self.boot(first)

    async def delete(self) -> None:
        """End the script."""
        await self.power_off()

    async def _play(self, script: Script) -> None:
        try:
            await script(self._first.user_data, self._first.address)
        except Exception:
            log.warning("machine.script_failed", server_id=self._server_id, exc_info=True)


class Verb(StrEnum):
    """What can be asked of a machine."""

    BOOT = "boot"
    POWER_ON = "power_on"
    POWER_OFF = "power_off"
    REBUILD = "rebuild"
    DELETE = "delete"


@dataclass(frozen=True, kw_only=True)
class Order:
    """One thing to do with one machine; ``first`` matters for boot and rebuild only."""

    server_id: str
    verb: Verb
    first: FirstBoot = FirstBoot()


async def keep_all(_server_ids: frozenset[str]) -> None:
    """For machines that end with the stand-in."""


class MachineRoom:
    """All machines of a cloud: orders for one machine are carried out one after the other."""

    def __init__(self, build: Callable[[str], Machine], *, keep: Keep = keep_all) -> None:
        self._build = build
        self._keep = keep
        self._beginning: asyncio.Task[None] | None = None
        self._machines: dict[str, Machine] = {}
        self._last: dict[str, asyncio.Task[None]] = {}

    def begin_with(self, server_ids: frozenset[str]) -> None:
        """Remove machines of other servers; nothing that is ordered from now on is touched by it."""
        self._beginning = asyncio.create_task(self._remove_others(server_ids))

    async def _remove_others(self, server_ids: frozenset[str]) -> None:
        try:
            await self._keep(server_ids)
        except Exception:
            log.exception("machine.leftovers_stay")

    def obey(self, orders: list[Order]) -> None:
        """Begin with the orders and return at once; needs a running loop when there are any."""
        for order in orders:
            before = self._last.get(order.server_id, self._beginning)
            self._last[order.server_id] = asyncio.create_task(self._carry_out(order, before))

    async def close(self) -> None:
        """Finish what was begun, then switch every machine off. Their servers stay in the books."""
        await asyncio.gather(*self._last.values())
        await asyncio.gather(*(machine.power_off() for machine in self._machines.values()))

    async def _carry_out(self, order: Order, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        machine = self._machines.setdefault(order.server_id, self._build(order.server_id))
        try:
            await _do(machine, order)
        except Exception:
            log.exception("machine.order_failed", server_id=order.server_id, verb=order.verb.value)
        if order.verb is Verb.DELETE:
            self._machines.pop(order.server_id, None)


async def _do(machine: Machine, order: Order) -> None:
    match order.verb:
        case Verb.BOOT:
            await machine.boot(order.first)
        case Verb.REBUILD:
            await machine.rebuild(order.first)
        case Verb.POWER_ON:
            await machine.power_on()
        case Verb.POWER_OFF:
            await machine.power_off()
        case Verb.DELETE:
            await machine.delete()

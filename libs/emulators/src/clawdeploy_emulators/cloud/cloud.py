"""One running cloud: its state, its machines, and the effects of its actions."""

import asyncio
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import datetime

from clawdeploy_emulators.cloud.actions import Action, Actions, Fate
from clawdeploy_emulators.cloud.documents import Documents
from clawdeploy_emulators.cloud.machines import MachineRoom
from clawdeploy_emulators.cloud.rentals import Rentals
from clawdeploy_emulators.cloud.settings import CloudSettings
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.faults import FaultKind, FaultSwitch
from clawdeploy_emulators.store import Store

Effect = Callable[[Work, Action], None]
"""What an action that has ended does; `action.fails` says how it ended."""

TICK_SECONDS = 0.2
FATES = {FaultKind.ACTION_ERROR: Fate.ERROR, FaultKind.ACTION_ENDLESS: Fate.ENDLESS}


class Cloud:
    """The parts of one running stand-in."""

    def __init__(
        self,
        settings: CloudSettings,
        *,
        store: Store,
        faults: FaultSwitch,
        effects: Mapping[str, Effect],
    ) -> None:
        self.settings = settings
        self.faults = faults
        self.store = store
        self.calls = asyncio.Lock()
        self._effects = effects
        self.machines = MachineRoom(settings.machine, keep=settings.keep_machines)

    def now(self) -> datetime:
        """The stand-in's time, UTC."""
        return self.settings.clock()

    @contextmanager
    def work(self, fault: FaultKind | None = None) -> Generator[Work]:
        """One transaction, begun after everything that is due has had its effect."""
        self.settle()
        with self._transaction(fault) as work:
            yield work
        self.machines.obey(work.orders)

    def settle(self) -> None:
        """Give every action that has ended its effect."""
        with self._transaction(None) as work:
            while due := work.actions.due():  # an effect may begin what is over already
                self._apply(work, due)
        self.machines.obey(work.orders)

    def _apply(self, work: Work, due: list[Action]) -> None:
        for action in due:
            effect = self._effects.get(action.command)
            if effect is not None:
                effect(work, action)
            work.actions.settled(action)

    async def tick(self) -> None:
        """Settle again and again, so that machines come up though nobody asks."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            async with self.calls:
                self.settle()

    @contextmanager
    def _transaction(self, fault: FaultKind | None) -> Generator[Work]:
        now, fate = self.now(), Fate.SUCCESS if fault is None else FATES.get(fault, Fate.SUCCESS)
        with self.store.transaction() as connection:
            yield Work(
                documents=Documents(connection),
                actions=Actions(connection, now=now, seconds=self.settings.action_seconds, fate=fate),
                rentals=Rentals(connection),
                addresses=self.settings.addresses,
                now=now,
                fault=fault,
            )

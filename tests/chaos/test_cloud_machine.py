"""A random life of a cloud account: deployments, cancellations, destroys, faults and deaths in any order lose nothing (laws 6 to 8)."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, rule, run_state_machine_as_test

from clawdeploy_emulators.faults import FaultKind
from clawdeploy_provisioner.operations.plans import DEPLOY
from tests.engines.databases import Database, Postgres
from tests.light.cloud_books import CloudBooks
from tests.light.cloud_world import CloudWorld
from tests.light.clouds import CLOUDS, CloudKind
from tests.light.fates import Life
from tests.light.mortal_world import Wanted

FATES = [
    *(f"{when} ordering" for when in ("before", "after")),
    *(f"{when} removing" for when in ("before", "after")),
    *(f"{when} {step}" for step in DEPLOY for when in ("did", "told")),
    *(f"{when} {step}" for step in ("reserve", "create_server", "mint_llm_key") for when in ("undoing", "undid")),
]
Do = Callable[[Awaitable[Any]], Any]


class CloudLife(RuleBasedStateMachine):
    """What people, the cloud and fate do; after each example everything must come to rest with nothing lost."""

    instances: Bundle[Wanted] = Bundle("instances")
    loop: asyncio.AbstractEventLoop
    postgres: Postgres

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.database: Database = self.do(self.postgres.create())
        self.running: AbstractAsyncContextManager[Life] | None = None
        self.live: Life | None = None

    def do(self, work: Awaitable[Any]) -> Any:
        """Carry something out in the loop that everything lives in."""
        return self.loop.run_until_complete(asyncio.wait_for(asyncio.ensure_future(work, loop=self.loop), 240))

    @initialize(name=st.sampled_from(sorted(CLOUDS)))
    def begin(self, name: str) -> None:
        """An account at one of the clouds."""
        self.world: CloudWorld = self.do(self.make(CLOUDS[name]))
        self.revive()

    async def make(self, kind: CloudKind) -> CloudWorld:
        """A world, in the loop."""
        quick = {"stalled_after_seconds": 8, "provider_call_seconds": 3}
        return CloudWorld(kind, self.database, Path(self.folder.name), **quick)

    def revive(self, *moments: str) -> None:
        """End who lives, if anybody does, as a killed process ends, and start another."""
        if self.running is not None:
            self.end()
            self.do(self.world.forward(60))
        self.running = self.world.running(*moments)
        self.live = self.do(self.running.__aenter__())

    def end(self) -> None:
        """Nothing that the one who lives has not committed is committed any more."""
        if self.running is not None and self.live is not None:
            self.live.died.set()
            self.do(self.running.__aexit__(None, None, None))
            self.running = None

    @rule(target=instances)
    def deploy(self) -> Wanted:
        """A person wants an agent."""
        return self.do(self.world.deploy())

    @rule(wanted=instances)
    def cancel(self, wanted: Wanted) -> None:
        """A person thinks again."""
        self.do(self.world.cancel(wanted))

    @rule(wanted=consumes(instances))
    def destroy(self, wanted: Wanted) -> None:
        """A person wants no agent any more."""
        self.do(self.world.destroy(wanted))

    @rule(
        kind=st.sampled_from(list(FaultKind)),
        method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
        times=st.integers(1, 3),
    )
    def fault(self, kind: FaultKind, method: str, times: int) -> None:
        """The cloud has a bad moment."""
        self.do(self.world.account.faults({"kind": kind, "method": method, "times": times, "seconds": 0.1}))

    @rule(fate=st.sampled_from(FATES))
    def die_at(self, fate: str) -> None:
        """The provisioner is killed, and the next one will die there."""
        when, what = fate.split()
        calls = {"ordering": self.world.kind.ordering, "removing": self.world.kind.removing[0]}
        self.revive(f"{when} {calls.get(what, what)}")

    @rule(seconds=st.sampled_from([0.1, 1.0]))
    def live_on(self, seconds: float) -> None:
        """Time passes."""
        self.do(asyncio.sleep(seconds))

    def teardown(self) -> None:
        """The cloud is well again and somebody lives: then all comes to rest, all is destroyed, and the books agree."""
        try:
            self.do(self.world.account.faults())
            self.do(self.world.account.ends_endless())
            self.revive()
            self.do(self.world.is_sound())
            for row in self.do(self.world.rows("SELECT id, account_id FROM instances WHERE destroyed_at IS NULL")):
                wanted = Wanted(id=row["id"], account_id=row["account_id"], deployment_id=row["id"])
                self.do(self.world.destroy(wanted))
            self.do(self.world.is_sound())
            assert self.do(self.world.account.everything()) == []
            self.do(self.books_agree())
        finally:
            self.end()
            self.do(self.world.close())
            self.do(self.postgres.drop(self.database))
            self.folder.cleanup()

    async def books_agree(self) -> None:
        """Law 8."""
        async with CloudBooks.of(self.world, self.database) as books:
            await books.agree_with_the_bill()


@pytest.mark.parametrize(
    ("examples", "steps"), [pytest.param(2, 6, id="brief"), pytest.param(60, 25, id="long", marks=pytest.mark.long)]
)
def test_whatever_happens_in_whatever_order_nothing_is_lost(postgres: Postgres, examples: int, steps: int) -> None:
    """INVARIANT: servers at the provider are the servers in the rows, no debt is left, and the cost book is the bill."""
    with asyncio.Runner() as runner:
        machine = type("Life", (CloudLife,), {"loop": runner.get_loop(), "postgres": postgres})
        chosen = settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=examples < 10,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        )
        run_state_machine_as_test(machine, settings=chosen)

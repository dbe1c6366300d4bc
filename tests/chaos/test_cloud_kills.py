"""INVARIANT: whatever dies or fails, a deployment at a cloud succeeds or is compensated, and no machine is lost (laws 6 to 8)."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from clawdeploy_emulators.faults import FaultKind
from clawdeploy_provisioner.operations.plans import DEPLOY, REMOVE
from tests.engines.databases import Database
from tests.light.cloud_books import CloudBooks
from tests.light.cloud_world import CloudWorld
from tests.light.clouds import CLOUDS, CloudKind, fault_at
from tests.light.mortal_world import Wanted

EVERYWHERE = pytest.mark.parametrize("world", list(CLOUDS), indirect=True)
ONE_IN_SUITE = pytest.mark.parametrize(
    "world",
    [pytest.param(name, marks=() if name == "hetzner" else pytest.mark.long) for name in CLOUDS],
    indirect=True,
)
IN_SUITE = {"timeout_after", "listing_empty"}
KINDS = [kind.value for kind in FaultKind]
BRIEF = {
    "hetzner": ["told reserve", "did mint_llm_key", "told connect", "did write_configuration", "did verify"],
    "digitalocean": ["told create_server"],
    "ovh": ["did wait_address", "did install"],
}
STEPS = [f"{moment} {step}" for step in DEPLOY for moment in ("doing", "did", "told")]
ENDING = [f"{moment} {step}" for step in (*REMOVE, "forget_secrets") for moment in ("doing", "did", "told")]

EXTENTS = pytest.mark.parametrize("extent", ["brief", pytest.param("all", marks=pytest.mark.long)])
IMPATIENT = {"stalled_after_seconds": 6, "provider_call_seconds": 3}

World = Callable[..., AbstractAsyncContextManager[CloudWorld]]


@pytest.fixture
async def world(request: pytest.FixtureRequest, database: Database, tmp_path: Path) -> World:
    """A cloud account; at the end of the block nothing may be lost, and everything is paid for by somebody's book."""

    @asynccontextmanager
    async def make(**settings: Any) -> AsyncGenerator[CloudWorld]:
        made = CloudWorld(CLOUDS[request.param], database, tmp_path, **settings)
        try:
            yield made
            await made.is_sound()
            async with CloudBooks.of(made, database) as books:
                await books.agree_with_the_bill()
        finally:
            await made.close()

    return make


def around(*calls: str) -> list[str]:
    """Before and after each of these calls."""
    return [f"{when} {call}" for call in calls for when in ("before", "after")]


def ordering(kind: CloudKind, *, extent: str) -> list[str]:
    """Moments of a deploy: all, or some in each cloud's way, but the call that costs money always."""
    if extent == "brief":
        return [*around(kind.ordering), "did create_server", *BRIEF[kind.name]]
    return [*around(*kind.preparing, kind.ordering), *STEPS]


def removing(kind: CloudKind, *, extent: str) -> list[str]:
    """Moments of a destroy."""
    if extent == "brief":
        return [*around(kind.removing[0]), "did destroy_server"]
    return [*around(*kind.removing), *ENDING]


async def ended(world: CloudWorld, *operations: Any) -> bool:
    return all([await world.state(operation) is not None for operation in operations])


async def removed(world: CloudWorld, wanted: Wanted, *moments: str) -> set[str]:
    """Destroy, dying at each of these moments; returns at which it did."""
    operation: list[Any] = []

    async def done() -> bool:
        if not operation:
            operation.append(await world.destroy(wanted))
        return await ended(world, *operation)

    struck = await world.survives(moments, done)
    assert await world.state(operation[0]) == "succeeded"
    async with world.running():
        await world.settles()
    return struck


async def deployed(world: CloudWorld, *moments: str) -> tuple[Wanted, set[str]]:
    """Deploy, dying at each of these moments; returns at which it did."""
    wanted = await world.deploy()
    struck = await world.survives(moments, lambda: ended(world, wanted.deployment_id))
    return wanted, struck


@EVERYWHERE
@EXTENTS
async def test_a_deploy_that_dies_at_every_moment_makes_one_server(world: World, extent: str) -> None:
    async with world() as cloud:
        moments = ordering(cloud.kind, extent=extent)
        wanted, struck = await deployed(cloud, *moments)
        assert struck == set(moments)
        assert await cloud.state(wanted.deployment_id) == "succeeded"
        assert len(await cloud.account.made()) == 1
        await removed(cloud, wanted)


@EVERYWHERE
@EXTENTS
async def test_a_destroy_that_dies_at_every_moment_leaves_nothing(world: World, extent: str) -> None:
    async with world() as cloud:
        moments = removing(cloud.kind, extent=extent)
        wanted, _ = await deployed(cloud)
        assert await removed(cloud, wanted, *moments) == set(moments)
        assert await cloud.account.everything() == []


@ONE_IN_SUITE
@pytest.mark.parametrize("kind", [pytest.param(k, marks=() if k in IN_SUITE else pytest.mark.long) for k in KINDS])
async def test_a_fault_while_a_server_is_ordered_or_removed_loses_nothing(world: World, kind: str) -> None:
    async with world(**IMPATIENT) as cloud:
        listing = cloud.kind.listing if kind.startswith("listing") else None
        await cloud.account.faults(fault_at(listing or cloud.kind.ordering, kind=kind, seconds=0.1))
        wanted, _ = await deployed(cloud)
        await cloud.account.faults(fault_at(listing or cloud.kind.removing[0], kind=kind, seconds=0.1))
        await cloud.account.ends_endless()
        await removed(cloud, wanted)


@pytest.mark.long
@EVERYWHERE
@pytest.mark.parametrize("kind", KINDS)
async def test_every_fault_at_every_call_loses_nothing(world: World, kind: str) -> None:
    """One deployment and one destroy for each call that either makes, with the fault at that call, three times in a row."""
    async with world(**IMPATIENT) as cloud:
        wanted, _ = await deployed(cloud)
        await removed(cloud, wanted)
        for call in sorted(call for call in cloud.calls if " /api/" not in call):
            await cloud.account.faults(fault_at(call, kind=kind, seconds=0.1, times=3))
            wanted, _ = await deployed(cloud)
            await cloud.account.ends_endless()
            await removed(cloud, wanted)
            await cloud.account.faults()


@ONE_IN_SUITE
@pytest.mark.parametrize(
    "step", [pytest.param(s, marks=() if s == "create_server" else pytest.mark.long) for s in DEPLOY]
)
async def test_a_deploy_cancelled_at_any_step_leaves_nothing(world: World, step: str) -> None:
    async with world() as cloud:
        wanted = await cloud.deploy()
        async with cloud.running(f"did {step}") as life:
            await life.died.wait()
        await cloud.forward(60)
        async with cloud.running():
            await cloud.cancel(wanted)
            assert await cloud.ended(wanted.deployment_id) == "cancelled"
            await cloud.settles()
        assert await cloud.account.everything() == []


@EVERYWHERE
async def test_a_runner_that_wakes_after_its_successor_has_finished_leaves_one_server(world: World) -> None:
    """INVARIANT: a call that was held up and takes effect late makes no second server."""
    async with world() as cloud:
        late = cloud.hold_up(cloud.kind.ordering)
        wanted = await cloud.deploy()
        async with cloud.running(), asyncio.timeout(180):
            await late.reached.wait()
            assert await cloud.ended(wanted.deployment_id) == "succeeded"
            late.release()
            await late.over.wait()
            await cloud.settles()
            assert len(await cloud.account.servers()) == 1
        await removed(cloud, wanted)


@pytest.mark.long
@EVERYWHERE
async def test_a_server_ordered_too_late_for_a_cancelled_deployment_is_swept_away(world: World) -> None:
    async with world() as cloud:
        late = cloud.hold_up(cloud.kind.ordering)
        wanted = await cloud.deploy()
        async with cloud.running(), asyncio.timeout(180):
            await late.reached.wait()
            await cloud.cancel(wanted)
            assert await cloud.ended(wanted.deployment_id) == "cancelled"
            late.release()
            await late.over.wait()
            await cloud.settles()
        assert await cloud.account.everything() == []


@ONE_IN_SUITE
async def test_a_creation_that_fails_at_the_cloud_is_told_and_undone(world: World) -> None:
    async with world() as cloud:
        await cloud.account.faults(fault_at(cloud.kind.ordering, kind="action_error"))
        wanted, _ = await deployed(cloud)
        (row,) = await cloud.rows("SELECT state, error, error_step FROM operations")
        assert row["state"] == "failed"
        assert row["error_step"] in {"wait_address", "connect"}
        assert cloud.kind.complaint in row["error"]
        await removed(cloud, wanted)


@ONE_IN_SUITE
async def test_a_creation_that_never_ends_is_given_up_and_undone(world: World) -> None:
    async with world(stalled_after_seconds=6) as cloud:
        await cloud.account.faults(fault_at(cloud.kind.ordering, kind="action_endless"))
        wanted, _ = await deployed(cloud)
        (row,) = await cloud.rows("SELECT state, error FROM operations")
        assert row["state"] == "failed"
        assert "no progress" in row["error"]
        await cloud.account.ends_endless()
        async with cloud.running():
            await cloud.settles()
        assert await cloud.account.everything() == []
        await removed(cloud, wanted)


@ONE_IN_SUITE
async def test_where_one_place_is_sold_out_another_is_taken(world: World) -> None:
    async with world() as cloud:
        await cloud.account.sold_out({"place": cloud.kind.plan["region"], "plan": "*"})
        wanted, _ = await deployed(cloud)
        assert await cloud.state(wanted.deployment_id) == "succeeded"
        (server,) = {line["place"] for line in (await cloud.account.bill())["lines"]}
        assert server != cloud.kind.plan["region"]
        await removed(cloud, wanted)


@ONE_IN_SUITE
async def test_an_account_that_is_full_says_so(world: World) -> None:
    async with world(server_limit=0, **IMPATIENT) as cloud:
        wanted, _ = await deployed(cloud)
        (row,) = await cloud.rows("SELECT state, error FROM operations")
        assert row["state"] == "failed"
        assert cloud.kind.full in row["error"]
        await removed(cloud, wanted)

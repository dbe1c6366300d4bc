"""A redeployment that is asked to keeps what the agent knows; whatever happens on the way, it is on a server or in the database."""

import base64
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from sqlalchemy import text
from tests.engines.databases import Database
from tests.integration.provisioner.conftest import Instance, Platform, deployment_plan, openrouter_in, provisioner
from tests.light.moments import Hold
from tests.light.rented import RentedLight

from clawdeploy_common.errors import PermanentError, TemporaryError
from clawdeploy_common.ids import new_id
from clawdeploy_events.deployments import (
    DeploymentCancelRequested,
    InstanceRedeployRequested,
    InstanceStartRequested,
    InstanceStopRequested,
)
from clawdeploy_provisioner.operations.plans import REDEPLOY
from clawdeploy_provisioner.steps.states import PROMISE

NOTES = "what it was told on Monday"
LARGE = 2_500_096
NO = PermanentError("the provider says no")


async def with_notes(platform: Platform, *, size: int = 0) -> Instance:
    """A deployed agent that has written something down."""
    instance = await platform.deployed()
    workspace = platform.provider.workspace_of(await platform.server_id(instance))
    (workspace / "notes.md").write_text(NOTES)
    (workspace / "large").write_bytes(bytes(range(256)) * (size // 256))
    return instance


async def redeploy(platform: Platform, instance: Instance, *, keep_state: bool = True, in_place: bool = False) -> UUID:
    """Ask for it."""
    operation_id = new_id()
    facts: dict[str, Any] = {"operation_id": operation_id, "deployment": deployment_plan(operation_id)}
    return await platform.ask(instance, InstanceRedeployRequested, **facts, keep_state=keep_state, in_place=in_place)


async def notes(platform: Platform, instance: Instance) -> str | None:
    """What the agent's server knows now."""
    file = platform.provider.workspace_of(await platform.server_id(instance)) / "notes.md"
    return file.read_text() if file.exists() else None


async def chunks(platform: Platform) -> list[Any]:
    """What the database keeps."""
    return list(await platform.rows("SELECT state_id, number, sealed FROM kept_state_chunks ORDER BY number"))


async def nothing_is_kept(platform: Platform) -> bool:
    """Neither keys nor chunks."""
    return not await platform.rows("SELECT 1 FROM kept_states") and not await chunks(platform)


async def failed(platform: Platform, operation_id: UUID) -> tuple[str, str]:
    """At which step, and why."""
    row = await platform.ended(operation_id)
    assert row.state == "failed"
    return row.error_step, row.error


async def test_what_the_agent_knew_is_on_the_fresh_server_and_nowhere_else(platform: Platform) -> None:
    """INVARIANT: a redeployment that keeps the state leaves nothing of it in the database."""
    instance = await with_notes(platform, size=LARGE)
    before = await platform.server_id(instance)
    operation_id = await redeploy(platform, instance)
    await platform.done(operation_id)
    assert list(await platform.steps(operation_id)) == list(REDEPLOY)
    assert await platform.server_id(instance) != before
    assert await notes(platform, instance) == NOTES
    large = platform.provider.workspace_of(await platform.server_id(instance)) / "large"
    assert large.read_bytes() == bytes(range(256)) * (LARGE // 256)
    assert (await platform.output(operation_id))[0] == "3 MB are kept"
    assert await nothing_is_kept(platform)


async def test_a_state_that_cannot_be_saved_costs_nothing(platform: Platform) -> None:
    """INVARIANT: nothing is destroyed before everything is saved; the agent runs again."""
    instance = await with_notes(platform)
    before = await platform.server_id(instance)
    platform.moments.fail("in the middle of read_state", NO)
    assert await failed(platform, await redeploy(platform, instance)) == ("save_state", str(NO))
    assert await platform.server_id(instance) == before
    server = await platform.provider.observe(before)
    assert server is not None
    assert server.ready
    assert await nothing_is_kept(platform)
    assert (await platform.told(instance.id))[-3:] == [
        "instance.started.v1",
        "deployment.failed.v1",
        "operation.failed.v1",
    ]


async def test_a_state_that_is_too_large_is_refused_before_the_agent_is_stopped(
    database: Database, tmp_path: Path
) -> None:
    async with provisioner(database, tmp_path, kept_state_max_mb=2) as platform:
        instance = await with_notes(platform, size=LARGE)
        step, error = await failed(platform, await redeploy(platform, instance))
        assert (step, "3 MB" in error, "CLAWDEPLOY_KEPT_STATE_MAX_MB allows 2" in error) == ("save_state", True, True)
        assert "before stop" not in platform.moments.seen
        assert "before destroy" not in platform.moments.seen


async def test_what_is_kept_of_a_deployment_that_failed_is_what_the_next_one_begins_with(platform: Platform) -> None:
    """INVARIANT: once the old server is gone, what it knew stays until a server has it."""
    instance = await with_notes(platform)
    platform.moments.fail("before ensure_installed", NO)
    first = await redeploy(platform, instance)
    assert await failed(platform, first) == ("install", f"{NO}. {PROMISE}")
    assert PROMISE in await platform.output(first)
    assert (await platform.provider.list_servers()).servers == []
    assert len(await chunks(platform)) == 1
    await platform.done(await redeploy(platform, instance))
    assert await notes(platform, instance) == NOTES
    assert await nothing_is_kept(platform)


async def test_a_redeployment_that_is_not_asked_to_keeps_nothing_and_forgets_what_an_earlier_one_kept(
    platform: Platform,
) -> None:
    instance = await with_notes(platform)
    platform.moments.fail("before ensure_installed", NO)
    await platform.ended(await redeploy(platform, instance))
    operation_id = await redeploy(platform, instance, keep_state=False)
    await platform.done(operation_id)
    assert not {"save_state", "restore_state"} & (await platform.steps(operation_id)).keys()
    assert await notes(platform, instance) is None
    assert await nothing_is_kept(platform)


async def test_a_destroyed_instance_leaves_nothing_kept(platform: Platform) -> None:
    """INVARIANT: what is kept goes with its instance."""
    kept, interrupted = await with_notes(platform), await with_notes(platform)
    platform.moments.fail("before ensure_installed", NO)
    await platform.ended(await redeploy(platform, kept))
    hold = platform.moments.hold("before write_state")
    operation_id = await redeploy(platform, interrupted)
    await hold.reached.wait()
    destroyed = [await platform.destroy(instance) for instance in (kept, interrupted)]
    hold.release()
    for each in destroyed:
        await platform.done(each)
    assert (await platform.ended(operation_id)).state == "cancelled"
    assert await nothing_is_kept(platform)


async def test_a_cancelled_redeployment_is_as_if_it_had_not_been_asked_for(platform: Platform) -> None:
    instance = await with_notes(platform, size=LARGE)
    before = await platform.server_id(instance)
    hold = platform.moments.hold("in the middle of read_state")
    operation_id = await redeploy(platform, instance)
    await hold.reached.wait()
    event = DeploymentCancelRequested(operation_id=operation_id)
    await platform.send(event, key=instance.id, account_id=instance.account_id)
    hold.release()
    assert (await platform.ended(operation_id)).state == "cancelled"
    assert await platform.server_id(instance) == before
    assert "after start" in platform.moments.seen[platform.moments.seen.index("before read_state") :]
    assert await nothing_is_kept(platform)


async def test_a_cancelled_attempt_leaves_what_an_earlier_one_kept(database: Database, tmp_path: Path) -> None:
    """INVARIANT: what is nowhere else is not given up, although this operation has destroyed nothing yet."""
    openrouter, hold = openrouter_in(tmp_path), Hold()

    @openrouter.middleware("http")
    async def revocation_stands_still(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        if request.method == "PATCH":
            await hold.stand_still()
        return await answer(request)

    async with provisioner(
        database, tmp_path, kind=RentedLight, openrouter=openrouter, llm_call_seconds=60
    ) as platform:
        instance = await with_notes(platform)
        platform.moments.fail("before ensure_installed", NO)
        await platform.ended(await redeploy(platform, instance, in_place=True))
        operation_id = await redeploy(platform, instance)
        await hold.reached.wait()
        event = DeploymentCancelRequested(operation_id=operation_id)
        await platform.send(event, key=instance.id, account_id=instance.account_id)
        hold.release()
        assert (await platform.ended(operation_id)).state == "cancelled"
        assert (await platform.steps(operation_id))["destroy_server"] == "pending"
        assert PROMISE in await platform.output(operation_id)
        await platform.done(await redeploy(platform, instance))
        assert await notes(platform, instance) == NOTES


async def test_in_place_what_the_server_learned_since_is_not_replaced_by_what_was_kept(
    database: Database, tmp_path: Path
) -> None:
    """INVARIANT: of two copies, the one whose agent has run since is the one that counts."""
    async with provisioner(database, tmp_path, kind=RentedLight) as platform:
        instance = await with_notes(platform)
        platform.moments.fail("before ensure_installed", NO)
        wiped = await redeploy(platform, instance, in_place=True)
        assert await failed(platform, wiped) == ("install", f"{NO}. {PROMISE}")
        assert await notes(platform, instance) is None
        platform.moments.fail("before start", NO)
        restored = await redeploy(platform, instance, in_place=True)
        assert await failed(platform, restored) == ("start", f"{NO}. {PROMISE}")
        assert await notes(platform, instance) == NOTES
        assert len(await chunks(platform)) == 1
        await platform.done(await platform.ask(instance, InstanceStartRequested))
        assert await nothing_is_kept(platform)
        learned = platform.provider.workspace_of(await platform.server_id(instance)) / "notes.md"
        learned.write_text("what it was told on Tuesday")
        await platform.done(await platform.ask(instance, InstanceStopRequested))
        await platform.done(await redeploy(platform, instance, in_place=True))
        assert await notes(platform, instance) == "what it was told on Tuesday"
        assert await nothing_is_kept(platform)


async def test_what_is_kept_is_encrypted_and_each_piece_bound_to_its_place(platform: Platform) -> None:
    """INVARIANT: the database holds nothing an agent wrote in clear, and what was exchanged there reaches no server (law 10)."""
    instance = await with_notes(platform, size=LARGE)
    platform.moments.fail("before ensure_installed", NO)
    await platform.ended(await redeploy(platform, instance))
    found = await chunks(platform)
    assert [row.number for row in found] == [0, 1, 2]
    assert not any(NOTES.encode() in row.sealed or bytes(range(256)) in row.sealed for row in found)
    exchange = "UPDATE kept_state_chunks SET number = CASE number WHEN 0 THEN 9 ELSE number - 1 END"
    async with platform.service.database.connection() as connection:
        await connection.execute(text(exchange))
    step, error = await failed(platform, await redeploy(platform, instance))
    assert (step, "does not open" in error) == ("restore_state", True)


async def test_writing_it_is_tried_again_until_it_succeeds(platform: Platform) -> None:
    instance = await with_notes(platform, size=LARGE)
    platform.moments.fail("in the middle of write_state", TemporaryError("the line broke", retry_after=0.1), after=1)
    platform.moments.fail("in the middle of read_state", TemporaryError("the line broke", retry_after=0.1), after=1)
    await platform.done(await redeploy(platform, instance))
    assert await notes(platform, instance) == NOTES
    assert platform.moments.seen.count("before write_state") == platform.moments.seen.count("before read_state") == 2


async def test_another_provisioner_with_another_encryption_key_restores_it(database: Database, tmp_path: Path) -> None:
    """INVARIANT: what is kept belongs to no process, and a change of ENCRYPTION_KEY loses nothing of it."""
    old, new = (base64.b64encode(letter * 32).decode() for letter in (b"o", b"n"))
    async with provisioner(database, tmp_path, leaves_servers=True, ENCRYPTION_KEY=old) as before:
        instance = await with_notes(before)
        before.moments.fail("before ensure_installed", NO)
        await before.ended(await redeploy(before, instance))
    keys: dict[str, Any] = {"ENCRYPTION_KEY": new, "ENCRYPTION_KEY_PREVIOUS": old}
    async with provisioner(database, tmp_path, leaves_servers=True, **keys) as changing:
        (row,) = await changing.rows("SELECT data_key FROM kept_states")
        await changing.until("SELECT count(*) FROM kept_states WHERE data_key <> :old", 1, old=row.data_key)
    async with provisioner(database, tmp_path, ENCRYPTION_KEY=new) as after:
        await after.heard(instance)
        await after.done(await redeploy(after, instance))
        assert await notes(after, instance) == NOTES

"""One operation per instance is active, at most one waits; what newer wishes, destroys and cancellations do (architecture §5)."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from tests.integration.provisioner.conftest import Instance, Platform

from clawdeploy_events.deployments import (
    DeploymentCancelRequested,
    InstanceRestartRequested,
    InstanceStartRequested,
    InstanceStopRequested,
    InstanceSuspendRequested,
)


async def cancel(platform: Platform, instance: Instance, operation_id: UUID | None = None) -> None:
    """Ask for an operation's cancellation, the deployment's when none is named."""
    await platform.ask(instance, DeploymentCancelRequested, operation_id=operation_id or instance.deployment_id)


@asynccontextmanager
async def deploying(platform: Platform, moment: str = "before ensure_installed") -> AsyncGenerator[Instance]:
    """An instance whose deployment stands still inside a step; goes on when the block ends."""
    held = platform.moments.hold(moment)
    instance = await platform.deploy()
    await held.reached.wait()
    yield instance
    held.release()


async def states(platform: Platform, instance: Instance) -> dict[UUID, str]:
    rows = await platform.rows("SELECT id, state FROM operations WHERE instance_id = :id", id=instance.id)
    return {row.id: row.state for row in rows}


async def test_the_newest_wish_replaces_the_waiting_one(platform: Platform) -> None:
    """INVARIANT: one operation of an instance is active and at most one waits."""
    async with deploying(platform) as instance:
        stop = await platform.ask(instance, InstanceStopRequested)
        restart = await platform.ask(instance, InstanceRestartRequested)
        assert await states(platform, instance) == {
            instance.deployment_id: "running",
            stop: "cancelled",
            restart: "queued",
        }
    await platform.done(instance.deployment_id)
    await platform.done(restart)
    told = [(name, data) for name, data in await platform.events(instance.id) if name == "operation.cancelled.v1"]
    assert [(data["operation_id"], data["reason"]) for _, data in told] == [
        (str(stop), "A newer request took its place.")
    ]


async def test_the_waiting_operation_begins_in_the_transaction_that_ends_the_active_one(platform: Platform) -> None:
    async with deploying(platform) as instance:
        stop = await platform.ask(instance, InstanceStopRequested)
    await platform.done(stop)
    told = await platform.told(instance.id)
    at = told.index("operation.completed.v1")
    assert told[at : at + 2] == ["operation.completed.v1", "operation.started.v1"]
    (moments,) = await platform.rows(
        "SELECT d.finished_at <= s.started_at, s.started_at - d.finished_at < interval '1 second' FROM operations d, operations s "
        "WHERE d.id = :deploy AND s.id = :stop",
        deploy=instance.deployment_id,
        stop=stop,
    )
    assert tuple(moments) == (True, True)


async def test_a_destroy_cancels_the_deployment_and_replaces_its_compensation(platform: Platform) -> None:
    async with deploying(platform) as instance:
        destroy = await platform.destroy(instance)
    assert (await platform.ended(instance.deployment_id)).state == "cancelled"
    await platform.done(destroy)
    assert "compensated" not in (await platform.steps(instance.deployment_id)).values()
    assert (await platform.told(instance.id))[-7:] == [
        "deployment.cancelled.v1",
        "operation.cancelled.v1",
        "operation.started.v1",
        "llm_key.revoked.v1",
        "server.destroyed.v1",
        "instance.destroyed.v1",
        "operation.completed.v1",
    ]
    assert (await platform.provider.list_servers()).servers == []
    assert await platform.live_keys() == []
    assert platform.moments.seen.count("before destroy") == 1


async def test_a_suspend_cancels_a_start_that_takes_long(platform: Platform) -> None:
    instance = await platform.deployed()
    await platform.done(await platform.ask(instance, InstanceStopRequested))
    held = platform.moments.hold("after start")
    start = await platform.ask(instance, InstanceStartRequested)
    await held.reached.wait()
    suspend = await platform.ask(instance, InstanceSuspendRequested)
    await platform.until("SELECT cancel_requested_at IS NOT NULL FROM operations WHERE id = :id", True, id=start)
    held.release()
    assert (await platform.ended(start)).state == "cancelled"
    await platform.done(suspend)
    assert [server.state for server in (await platform.provider.list_servers()).servers] == ["off"]


async def test_nothing_replaces_a_waiting_destroy(platform: Platform) -> None:
    async with deploying(platform) as instance:
        destroy = await platform.destroy(instance)
        restart = await platform.ask(instance, InstanceRestartRequested)
        assert (await platform.operation(restart)).state == "cancelled"
    await platform.done(destroy)


async def test_a_destroyed_instance_is_asked_for_nothing_more(platform: Platform) -> None:
    instance = await platform.deployed()
    await platform.done(await platform.destroy(instance))
    start = await platform.ask(instance, InstanceStartRequested)
    row = await platform.ended(start)
    assert (row.state, row.error) == ("cancelled", "The instance was destroyed before.")


@pytest.mark.parametrize("kind", ["destroy", "suspend"])
async def test_a_destroy_and_a_suspend_are_not_taken_back(platform: Platform, kind: str) -> None:
    instance = await platform.deployed()
    held = platform.moments.hold("before destroy" if kind == "destroy" else "before stop")
    asked = await (
        platform.destroy(instance) if kind == "destroy" else platform.ask(instance, InstanceSuspendRequested)
    )
    await held.reached.wait()
    await cancel(platform, instance, asked)
    held.release()
    await platform.done(asked)
    rejected = await platform.until_told(instance.id, "deployment.cancel_rejected.v1")
    assert rejected == {"operation_id": str(asked), "reason": f"A {kind} cannot be cancelled."}


async def test_cancel_between_steps_gives_everything_back(platform: Platform) -> None:
    async with deploying(platform) as instance:
        await cancel(platform, instance)
    assert (await platform.ended(instance.deployment_id)).state == "cancelled"
    assert (await platform.told(instance.id))[-4:] == [
        "llm_key.revoked.v1",
        "server.destroyed.v1",
        "deployment.cancelled.v1",
        "operation.cancelled.v1",
    ]
    assert (await platform.provider.list_servers()).servers == []
    assert await platform.live_keys() == []
    steps = await platform.steps(instance.deployment_id)
    assert (steps["reserve"], steps["mint_llm_key"], steps["write_configuration"]) == (
        "compensated",
        "compensated",
        "pending",
    )


async def test_cancel_is_heeded_inside_a_step_that_waits(platform: Platform) -> None:
    """The agent never becomes ready and its start has 90 s; a cancellation ends the waiting at once."""
    platform.provider.never_ready = True
    instance = await platform.deploy()
    await platform.until(
        "SELECT state FROM operation_steps WHERE operation_id = :id AND name = 'wait_started'",
        "running",
        id=instance.deployment_id,
    )
    await cancel(platform, instance)
    row = await platform.ended(instance.deployment_id, seconds=60)
    assert row.state == "cancelled"
    assert (await platform.provider.list_servers()).servers == []


async def test_a_waiting_operation_is_cancelled_before_it_begins(platform: Platform) -> None:
    async with deploying(platform) as instance:
        stop = await platform.ask(instance, InstanceStopRequested)
        await cancel(platform, instance, stop)
        assert (await platform.operation(stop)).state == "cancelled"
    await platform.done(instance.deployment_id)
    assert (await platform.told(instance.id)).count("operation.started.v1") == 1


async def test_the_cancellation_of_what_has_ended_is_rejected_and_told(platform: Platform) -> None:
    instance = await platform.deployed()
    await cancel(platform, instance)
    rejected = await platform.until_told(instance.id, "deployment.cancel_rejected.v1")
    assert rejected == {"operation_id": str(instance.deployment_id), "reason": "It had ended already."}
    assert (await platform.operation(instance.deployment_id)).state == "succeeded"
    assert len((await platform.provider.list_servers()).servers) == 1


async def test_a_cancellation_just_before_the_commit_of_success_wins(platform: Platform) -> None:
    """INVARIANT: success is committed only while nobody has asked for the end."""
    *looks, last = [platform.moments.hold("before observe") for _ in range(5)]  # publish_endpoint is the fifth to look
    instance = await platform.deploy()
    for look in looks:
        look.release()
    await last.reached.wait()  # it is the last step; nothing checks for cancellation after it but the commit
    assert (await platform.steps(instance.deployment_id))["publish_endpoint"] == "running"
    await cancel(platform, instance)
    last.release()
    assert (await platform.ended(instance.deployment_id)).state == "cancelled"
    assert "deployment.succeeded.v1" not in await platform.told(instance.id)
    assert (await platform.provider.list_servers()).servers == []

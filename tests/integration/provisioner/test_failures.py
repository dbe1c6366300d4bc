"""What fails, at whichever step, is undone, owed or tried again, and always told (architecture §5)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.engines.databases import Database
from tests.integration.provisioner.conftest import Instance, Platform, provisioner
from tests.light.moments import Moments
from tests.light.provider import LightProvider

from clawdeploy_common.errors import PermanentError, TemporaryError
from clawdeploy_events.deployments import ConfigPublished, InstanceStartRequested, InstanceStopRequested
from clawdeploy_provisioner.providers.protocol import (
    ConfigurationRejected,
    ExitedBeforeReady,
    ProviderUnavailable,
    Server,
    ServerState,
)

NO = PermanentError("the provider says no")
Fault = Callable[[Moments], None]


def at(moment: str, error: BaseException = NO, *, after: int = 0) -> Fault:
    """A fault at a moment of the provider."""
    return lambda moments: moments.fail(moment, error, after=after)


FAULTS: dict[str, Fault] = {
    "create_server": at("before ensure_server"),
    "wait_address": at("before observe"),
    "connect": at("before observe", after=1),
    "install": at("before ensure_installed"),
    "write_configuration": at("before write_configuration", ConfigurationRejected(["gateway.port: is not a port"])),
    "start": at("after start", ExitedBeforeReady(1, ["Error: no such module", "exit"])),
    "wait_started": at("before observe", after=2),
    "publish_endpoint": at("before observe", after=4),
}


async def assert_nothing_is_left(platform: Platform, instance: Instance) -> None:
    assert (await platform.provider.list_servers()).servers == []
    assert await platform.live_keys() == []
    assert await platform.rows("SELECT 1 FROM servers WHERE destroyed_at IS NULL") == []
    assert (
        await platform.rows("SELECT 1 FROM llm_keys WHERE state IN ('intended', 'active') OR secret IS NOT NULL") == []
    )
    assert await platform.rows("SELECT 1 FROM cleanup_debts") == []
    told = await platform.told(instance.id)
    assert told.count("server.created.v1") == told.count("server.destroyed.v1")
    assert told.count("llm_key.minted.v1") == told.count("llm_key.revoked.v1")


@pytest.mark.parametrize("step", FAULTS)
async def test_a_deploy_that_fails_for_good_is_undone_and_says_why(platform: Platform, step: str) -> None:
    """INVARIANT: a failed deployment leaves neither server nor key."""
    FAULTS[step](platform.moments)
    instance = await platform.deploy()
    row = await platform.ended(instance.deployment_id)
    assert (row.state, row.error_step) == ("failed", step)
    failed = await platform.until_told(instance.id, "deployment.failed.v1")
    assert failed == {"operation_id": str(instance.deployment_id), "reason": row.error, "step": step}
    assert (await platform.told(instance.id))[-2:] == ["deployment.failed.v1", "operation.failed.v1"]
    steps = await platform.steps(instance.deployment_id)
    assert (steps["reserve"], steps["mint_llm_key"]) == ("compensated", "compensated")
    assert steps[step] in {"failed", "compensated"}
    await assert_nothing_is_left(platform, instance)


async def test_an_agent_that_refuses_fails_its_deployment_at_verify(platform: Platform) -> None:
    instance = await platform.deploy(model="stand/refusing")
    row = await platform.ended(instance.deployment_id)
    assert (row.state, row.error_step, row.error) == ("failed", "verify", "health: this agent refuses")
    await assert_nothing_is_left(platform, instance)


async def test_an_unknown_provider_fails_at_the_first_step_with_nothing_to_undo(platform: Platform) -> None:
    instance = await platform.deploy(provider="nowhere")
    row = await platform.ended(instance.deployment_id)
    assert (row.state, row.error_step) == ("failed", "reserve")
    assert row.error == "provider nowhere is not switched on here; switched on are light"
    assert platform.provider.created == []


async def test_the_last_lines_of_an_agent_that_ended_are_kept_and_redacted(platform: Platform) -> None:
    lines = [
        "starting",
        "token 123456789:AAF0-abcdefghijklmnopqrstuvwxyz01234 is not valid",  # pragma: allowlist secret
    ]
    platform.moments.fail("after start", ExitedBeforeReady(78, lines))
    instance = await platform.deploy()
    row = await platform.ended(instance.deployment_id)
    assert "starting" in await platform.output(instance.deployment_id)
    assert row.error == "OpenClaw ended before it was ready (exit code 78): token [redacted] is not valid"
    assert "AAF0" not in str(await platform.events(instance.id)) + str(await platform.output(instance.deployment_id))


async def test_a_refused_configuration_is_told_and_the_running_agent_left_alone(platform: Platform) -> None:
    instance = await platform.deployed()
    platform.moments.fail("before write_configuration", ConfigurationRejected(["agents: unknown key"]))
    applied = await platform.ask(
        instance, ConfigPublished, version=2, content_hash="0" * 64, model="stand/two", channel="telegram"
    )
    assert (await platform.ended(applied)).state == "failed"
    assert await platform.until_told(instance.id, "config.rejected.v1") == {
        "version": 2,
        "issues": ["agents: unknown key"],
    }
    assert [server.state for server in (await platform.provider.list_servers()).servers] == ["running"]
    assert len(await platform.live_keys()) == 1


async def test_a_temporary_failure_is_tried_again_and_said(platform: Platform) -> None:
    platform.moments.fail("before ensure_server", ProviderUnavailable("there is no room", retry_after=0.2), times=2)
    instance = await platform.deployed()
    said = [line for line in await platform.output(instance.deployment_id) if "again" in line]
    assert said == ["there is no room. Trying again in 0 s."] * 2
    messages = [data["message"] for _, data in await platform.events(instance.id) if data.get("message")]
    assert said[0] in messages
    (attempts,) = await platform.rows("SELECT attempts FROM operation_steps WHERE name = 'create_server'")
    assert attempts.attempts == 3
    assert len(platform.provider.created) == 1


async def test_a_temporary_failure_without_effect_does_not_wait_for_the_deadline_of_its_call(
    database: Database, tmp_path: Path
) -> None:
    """A call that was answered is over; only one whose runner died is waited for."""
    async with provisioner(database, tmp_path, provider_call_seconds=120) as platform:
        platform.moments.fail("before ensure_server", ProviderUnavailable("no room", retry_after=0.1))
        instance = await platform.deploy()
        assert (await platform.ended(instance.deployment_id, seconds=60)).state == "succeeded"


async def test_an_unexpected_error_is_tried_again_without_telling_its_insides(platform: Platform) -> None:
    platform.moments.fail("before start", ValueError("password hunter2 in /etc/shadow"))
    instance = await platform.deployed()
    assert "hunter2" not in str(await platform.events(instance.id)) + str(await platform.output(instance.deployment_id))


async def test_an_operation_without_progress_turns_round(database: Database, tmp_path: Path) -> None:
    """INVARIANT: patience is charged while the lease is held, and an operation that makes no progress is undone."""
    async with provisioner(database, tmp_path, stalled_after_seconds=6) as platform:
        platform.moments.fail(
            "before ensure_installed", TemporaryError("the mirror is slow", retry_after=0.5), times=99
        )
        instance = await platform.deploy()
        row = await platform.ended(instance.deployment_id)
        assert (row.state, row.error_step) == ("failed", "install")
        assert row.error.startswith("There was no progress for")
        await assert_nothing_is_left(platform, instance)


class Delivering(LightProvider):
    """A provider that may take its time, and whose servers never come."""

    def __init__(self, root: Path, **options: Any) -> None:
        super().__init__(root, **options)
        self.delivery_patience = timedelta(hours=1)

    async def observe(self, server_id: UUID) -> Server | None:
        server = await super().observe(server_id)
        return None if server is None else replace(server, state=ServerState.CREATING, address=None)


async def test_a_delivery_may_take_its_time_where_the_provider_says_so(database: Database, tmp_path: Path) -> None:
    """INVARIANT: waiting for what was ordered is no lack of progress, for as long as the setting allows; and it can be cancelled."""
    async with provisioner(database, tmp_path, kind=Delivering, stalled_after_seconds=6) as platform:
        instance = await platform.deploy()
        await platform.until("SELECT now() - started_at > interval '8 seconds' FROM operations", True, seconds=60)
        assert (await platform.operation(instance.deployment_id)).state == "running"
        told = await platform.rows("SELECT DISTINCT line FROM operation_outputs WHERE step = 'wait_address'")
        assert [row.line for row in told] == ["It was ordered; its delivery may take 60 minutes"]
        await platform.done(await platform.destroy(instance))


async def test_a_step_that_hangs_is_ended_by_the_patience_too(database: Database, tmp_path: Path) -> None:
    async with provisioner(database, tmp_path, stalled_after_seconds=6) as platform:
        platform.moments.hold("before ensure_installed")
        instance = await platform.deploy()
        row = await platform.ended(instance.deployment_id)
        assert (row.state, row.error_step) == ("failed", "install")
        await assert_nothing_is_left(platform, instance)


async def test_what_cannot_be_undone_in_patience_is_left_and_the_operation_ends(
    database: Database, tmp_path: Path
) -> None:
    """INVARIANT: every operation ends: the agent cannot be stopped, its server and key are removed all the same."""
    async with provisioner(database, tmp_path, stalled_after_seconds=6) as platform:
        platform.moments.fail("after start", PermanentError("broken"))
        platform.moments.fail("before stop", ProviderUnavailable("no answer", retry_after=0.3), times=99)
        instance = await platform.deploy()
        row = await platform.ended(instance.deployment_id)
        assert (row.state, row.error_step, row.error) == ("failed", "start", "broken")
        assert (await platform.steps(instance.deployment_id))["start"] == "skipped"
        await assert_nothing_is_left(platform, instance)


async def test_a_compensation_that_fails_for_good_is_left_and_the_operation_ends(platform: Platform) -> None:
    platform.moments.fail("after start", PermanentError("broken"))
    platform.moments.fail("before stop", PermanentError("cannot be stopped"), times=99)
    instance = await platform.deploy()
    row = await platform.ended(instance.deployment_id)
    assert (row.state, row.error) == ("failed", "broken")
    await assert_nothing_is_left(platform, instance)


async def test_a_runner_that_stood_still_is_not_charged_for_it(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INVARIANT: deadlines count leased time; a machine that slept ends nothing."""
    held = platform.moments.hold("before ensure_installed")
    instance = await platform.deploy()
    await held.reached.wait()
    asleep = timedelta(hours=3).total_seconds()
    import time  # noqa: PLC0415 - the module's own function is moved on

    real = time.monotonic
    monkeypatch.setattr("clawdeploy_provisioner.operations.runner.time.monotonic", lambda: real() + asleep)
    await platform.until("SELECT stalled_seconds >= 2 FROM operations WHERE id = :id", True, id=instance.deployment_id)
    (charged,) = await platform.rows("SELECT stalled_seconds FROM operations WHERE id = :id", id=instance.deployment_id)
    assert charged.stalled_seconds < 10
    held.release()
    monkeypatch.undo()
    await platform.done(instance.deployment_id)


async def test_a_start_without_a_server_fails_and_says_so(platform: Platform) -> None:
    platform.moments.fail("before ensure_server", NO)
    instance = await platform.deploy()
    await platform.ended(instance.deployment_id)
    row = await platform.ended(await platform.ask(instance, InstanceStartRequested))
    assert row.error == f"instance {instance.id} has no server; deploy it first"
    await platform.done(await platform.ask(instance, InstanceStopRequested))
    await platform.done(await platform.destroy(instance))

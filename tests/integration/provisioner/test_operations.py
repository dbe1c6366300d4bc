"""The operations engine on a light workload, when nothing goes wrong."""

import json

from tests.integration.provisioner.conftest import Platform, deployment_plan

from clawdeploy_common.ids import new_id
from clawdeploy_events.deployments import (
    ConfigPublished,
    InstanceRedeployRequested,
    InstanceRestartRequested,
    InstanceStartRequested,
    InstanceStopRequested,
)


async def test_a_deploy_goes_through_every_step_and_tells_it(platform: Platform) -> None:
    instance = await platform.deployed()
    assert await platform.told(instance.id) == [
        "operation.started.v1",
        "server.intended.v1",
        "llm_key.minted.v1",
        "server.created.v1",
        "config.applied.v1",
        "instance.started.v1",
        "deployment.succeeded.v1",
        "operation.completed.v1",
    ]
    assert len(platform.provider.created) == 1
    assert len(await platform.live_keys()) == 1
    assert set((await platform.steps(instance.deployment_id)).values()) == {"done"}


async def test_another_program_than_openclaw_is_deployed_without_being_asked_for_its_models(platform: Platform) -> None:
    """It is ready when its port answers; monitor goes by the provider's word, for it has no `/healthz`."""
    platform.provider.is_openclaw = False
    instance = await platform.deployed(model="stand/refusing")
    assert set((await platform.steps(instance.deployment_id)).values()) == {"done"}
    query = "SELECT data FROM outbox WHERE key = :key AND type = 'instance.started.v1'"
    ((data,),) = await platform.rows(query, key=instance.id)
    started = json.loads(data)
    assert (started["probe_url"], started["endpoint"] is None) == (None, False)


async def test_stop_start_restart_and_destroy_leave_nothing(platform: Platform) -> None:
    instance = await platform.deployed()
    for event_class in (InstanceStopRequested, InstanceStartRequested, InstanceRestartRequested):
        await platform.done(await platform.ask(instance, event_class))
    await platform.done(await platform.destroy(instance))
    assert (await platform.provider.list_servers()).servers == []
    assert [key["disabled"] for key in await platform.keys()] == [True]
    assert (await platform.told(instance.id))[-3:] == [
        "server.destroyed.v1",
        "instance.destroyed.v1",
        "operation.completed.v1",
    ]
    assert await platform.rows("SELECT 1 FROM secret_copies UNION ALL SELECT 1 FROM config_copies") == []


async def test_a_redeploy_gives_a_new_server_and_a_new_key_under_the_same_instance(platform: Platform) -> None:
    instance = await platform.deployed()
    before = await platform.live_keys()
    again = new_id()
    plan = deployment_plan(again, model="stand/other", config_version=2)
    await platform.ask(instance, InstanceRedeployRequested, operation_id=again, deployment=plan)
    await platform.done(again)
    first, second = platform.provider.created
    assert first != second
    assert [str(server.server_id) for server in (await platform.provider.list_servers()).servers] == [second]
    after = await platform.live_keys()
    assert len(after) == 1
    assert after != before


async def test_a_redeploy_that_waits_changes_nothing_about_the_deployment_under_way(platform: Platform) -> None:
    """A plan belongs to its operation: a runner that takes over half-way still deploys the first one."""
    held = platform.moments.hold("before ensure_installed")
    instance = await platform.deploy()
    await held.reached.wait()
    again = new_id()
    plan = deployment_plan(again, model="stand/other")
    await platform.ask(instance, InstanceRedeployRequested, operation_id=again, deployment=plan)
    ((deployment,),) = await platform.rows("SELECT deployment FROM instances WHERE id = :id", id=instance.id)
    assert deployment["model"] == "openai/gpt-5.2"
    held.release()
    await platform.done(instance.deployment_id)
    await platform.done(again)
    assert platform.provider.bundles[await platform.server_id(instance)].config.model == "stand/other"


async def test_a_published_configuration_is_applied_and_the_agent_restarted(platform: Platform) -> None:
    instance = await platform.deployed()
    applied = await platform.ask(
        instance, ConfigPublished, version=2, content_hash="0" * 64, model="stand/two", channel="telegram"
    )
    await platform.done(applied)
    assert list(await platform.steps(applied)) == ["write_configuration", "stop", "start", "wait_started"]
    assert (await platform.until_told(instance.id, "config.applied.v1"))["version"] == 1
    assert platform.provider.bundles[await platform.server_id(instance)].config.model == "stand/two"


async def test_a_duplicated_request_begins_nothing_twice(platform: Platform) -> None:
    """INVARIANT: delivery is at least once; an operation is begun once."""
    instance = await platform.deploy()
    platform.forget_versions()
    await platform.request_deployment(instance)
    await platform.done(instance.deployment_id)
    assert (await platform.told(instance.id)).count("operation.started.v1") == 1
    assert len(platform.provider.created) == 1

"""The operations engine on a light workload."""

from tests.integration.provisioner.conftest import Platform

from clawdeploy_common.clock import utc_now
from clawdeploy_common.ids import new_id
from clawdeploy_events.deployments import InstanceDestroyRequested, InstanceStartRequested, InstanceStopRequested


async def test_a_deploy_goes_through_every_step_and_tells_it(platform: Platform) -> None:
    instance_id, _, operation_id = await platform.deploy()
    row = await platform.ended(operation_id)
    assert (row.state, row.error) == ("succeeded", None)
    assert await platform.told(instance_id) == [
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
    assert [key["disabled"] for key in await platform.keys()] == [False]


async def test_stop_start_and_destroy_leave_nothing(platform: Platform) -> None:
    instance_id, account_id, operation_id = await platform.deploy()
    await platform.ended(operation_id)
    for event_class in (InstanceStopRequested, InstanceStartRequested):
        request = event_class(operation_id=new_id())
        await platform.send(request, key=instance_id, account_id=account_id)
        assert (await platform.ended(request.operation_id)).state == "succeeded"
    destroy = InstanceDestroyRequested(operation_id=new_id(), requested_at=utc_now())
    await platform.send(destroy, key=instance_id, account_id=account_id)
    assert (await platform.ended(destroy.operation_id)).state == "succeeded"
    assert (await platform.provider.list_servers()).servers == []
    assert [key["disabled"] for key in await platform.keys()] == [True]
    assert (await platform.told(instance_id))[-3:] == [
        "server.destroyed.v1",
        "instance.destroyed.v1",
        "operation.completed.v1",
    ]

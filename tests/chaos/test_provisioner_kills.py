"""INVARIANT: an operation survives kill -9 at any moment and goes on where it was; nothing is made or told twice (laws 6 to 8)."""

import asyncio
import signal

from clawdeploy_common.clock import utc_now
from clawdeploy_common.ids import new_id
from clawdeploy_events.deployments import InstanceDestroyRequested, InstanceRedeployRequested
from clawdeploy_provisioner.operations.plans import DEPLOY, REMOVE
from tests.chaos.conftest import Platform, plan

CALLS = ["before GET /keys", "before POST /keys", "after POST /keys"]
VERBS = ["before ensure_server", "after ensure_server", "after write_configuration", "before start", "after start"]
STEPS = [f"did {step}" for step in DEPLOY] + [f"told {step}" for step in ("reserve", "mint_llm_key", "create_server")]
ENDING = [
    *(f"did {step}" for step in (*REMOVE, "forget_secrets")),
    *(f"{when} {call}" for call in ("PATCH /keys", "destroy") for when in ("before", "after")),
]
UNDOING = [
    "undoing mint_llm_key",
    "undid mint_llm_key",
    "told verify",
    "undoing reserve",
    "undid reserve",
    "after stop",
]
KEEPING = ["in the middle of read_state", "told save_state", "in the middle of write_state", "did restore_state"]
REMOVED = ["llm_key.revoked.v1", "server.destroyed.v1"]
BEGUN, DONE = "operation.started.v1", "operation.completed.v1"
HASTY = {"CLAWDEPLOY_DATABASE_IDLE_TRANSACTION_SECONDS": "3"}
DEPLOYED = [
    BEGUN,
    "server.intended.v1",
    "llm_key.minted.v1",
    "server.created.v1",
    "config.applied.v1",
    "instance.started.v1",
    "deployment.succeeded.v1",
    DONE,
]


async def told(platform: Platform, instance_id: object) -> list[str]:
    """An instance's events in the log, without the changes of steps."""
    return [name for name in await platform.published(instance_id) if name != "operation.step_changed.v1"]  # pyright: ignore[reportArgumentType]


async def test_a_deploy_that_dies_at_every_moment_completes_and_is_charged_once(platform: Platform) -> None:
    moments = [*CALLS, *VERBS, *STEPS]
    provisioner = platform.provisioner("one", LIGHT_DEATHS="|".join(moments))
    instance_id, _, operation_id = await platform.deploy()
    assert await platform.ended(operation_id, seconds=280) == "succeeded"
    assert platform.died_at == set(moments)
    assert provisioner.deaths == len(moments)
    assert len(platform.provider.created) == 1
    await platform.eventually_keys(1)
    assert await told(platform, instance_id) == DEPLOYED
    assert [server.state for server in (await platform.provider.list_servers()).servers] == ["running"]


async def test_a_destroy_that_dies_at_every_moment_leaves_nothing(platform: Platform) -> None:
    provisioner = platform.provisioner("one", LIGHT_DEATHS="|".join(ENDING))
    instance_id, account_id, operation_id = await platform.deploy()
    assert await platform.ended(operation_id) == "succeeded"
    destroy = InstanceDestroyRequested(operation_id=new_id(), requested_at=utc_now())
    await platform.send(destroy, key=instance_id, account_id=account_id)
    assert await platform.ended(destroy.operation_id, seconds=280) == "succeeded"
    assert provisioner.deaths == len(ENDING) == len(platform.died_at)
    assert (await platform.provider.list_servers()).servers == []
    await platform.eventually_keys(0)
    assert (await told(platform, instance_id))[len(DEPLOYED) :] == [
        BEGUN,
        "llm_key.revoked.v1",
        "server.destroyed.v1",
        "instance.destroyed.v1",
        DONE,
    ]


async def test_a_redeploy_that_dies_while_it_keeps_the_state_loses_nothing_of_it(platform: Platform) -> None:
    """INVARIANT: whenever the provisioner dies, what the agent knew is on the old server, in the database or on the new one."""
    provisioner = platform.provisioner("one", LIGHT_DEATHS="|".join(KEEPING))
    instance_id, account_id, operation_id = await platform.deploy()
    assert await platform.ended(operation_id) == "succeeded"
    [server] = (await platform.provider.list_servers()).servers
    (platform.provider.workspace_of(server.server_id) / "notes").write_bytes(b"known" * 300_000)
    again = new_id()
    redeploy = InstanceRedeployRequested(operation_id=again, deployment=plan(again), keep_state=True)
    await platform.send(redeploy, key=instance_id, account_id=account_id)
    assert await platform.ended(again, seconds=280) == "succeeded"
    assert (platform.died_at, provisioner.deaths) == (set(KEEPING), len(KEEPING))
    [fresh] = (await platform.provider.list_servers()).servers
    assert fresh.server_id != server.server_id
    assert (platform.provider.workspace_of(fresh.server_id) / "notes").read_bytes() == b"known" * 300_000
    assert await platform.rows("SELECT 1 FROM provisioner.kept_state_chunks") == []
    assert (await told(platform, instance_id))[len(DEPLOYED) :] == [BEGUN, *REMOVED, *DEPLOYED[1:]]


async def test_a_failed_deploy_that_dies_while_it_is_undone_leaves_nothing(platform: Platform) -> None:
    provisioner = platform.provisioner("one", LIGHT_DEATHS="|".join(UNDOING))
    instance_id, _, operation_id = await platform.deploy(model="stand/refusing")
    assert await platform.ended(operation_id, seconds=280) == "failed"
    assert provisioner.deaths >= 4
    assert (await platform.provider.list_servers()).servers == []
    await platform.eventually_keys(0)
    events = await told(platform, instance_id)
    assert events[-2:] == ["deployment.failed.v1", "operation.failed.v1"]
    for name in ("server.created.v1", "server.destroyed.v1", "llm_key.minted.v1", "llm_key.revoked.v1"):
        assert events.count(name) == 1


async def test_deploys_survive_the_death_of_postgres_and_of_kafka(platform: Platform) -> None:
    platform.provisioner("one")
    first = await platform.deploy()
    assert await platform.ended(first[2]) == "succeeded"
    deploys = [await platform.deploy() for _ in range(3)]
    await asyncio.sleep(0.6)
    platform.postgres.kill()
    await asyncio.sleep(1)
    await platform.postgres.start()
    platform.kafka.kill()
    for _, _, operation_id in deploys:
        if await begun(platform, operation_id):  # what has begun needs no broker
            assert await platform.ended(operation_id, seconds=20) == "succeeded"
    await platform.kafka.start()
    for instance_id, _, operation_id in [first, *deploys]:
        assert await platform.ended(operation_id, seconds=60) == "succeeded"
        assert await told(platform, instance_id) == DEPLOYED
    assert len(platform.provider.created) == 4
    await platform.eventually_keys(4)


async def begun(platform: Platform, operation_id: object) -> bool:
    """Whether the request reached the provisioner."""
    return bool(await platform.rows("SELECT 1 FROM provisioner.operations WHERE id = $1", operation_id))


async def test_a_runner_stopped_past_its_lease_is_replaced_and_changes_nothing_when_it_wakes(
    platform: Platform,
) -> None:
    pauses = "before POST /keys|before ensure_server|after ensure_server|before start|did start"
    provisioners = [platform.provisioner(name, LIGHT_PAUSE=pauses, **HASTY) for name in ("one", "two")]
    instance_id, _, operation_id = await platform.deploy()
    async with asyncio.timeout(280):
        while not await platform.rows_if_there("SELECT 1 FROM provisioner.operations WHERE finished_at IS NOT NULL"):
            if all(provisioner.is_stopped for provisioner in provisioners):
                await asyncio.sleep(4)  # past every lease and every call's deadline
                provisioners[len(platform.died_at) % 2].send(signal.SIGCONT)
            await asyncio.sleep(0.2)
    assert len(platform.died_at) >= 3
    for provisioner in provisioners:
        provisioner.send(signal.SIGCONT)
    assert await platform.ended(operation_id) == "succeeded"
    await asyncio.sleep(3)
    assert await told(platform, instance_id) == DEPLOYED
    assert len(platform.provider.created) == 1
    await platform.eventually_keys(1)  # a key that a sleeper minted too late is swept away
    assert len((await platform.provider.list_servers()).servers) == 1


async def test_a_runner_that_stands_still_in_the_middle_of_a_claim_holds_nobody_up(platform: Platform) -> None:
    """INVARIANT: locks of who is frozen are freed: nobody waits for a transaction whose owner does nothing."""
    runners = [platform.provisioner(name, LIGHT_PAUSE="claiming", **HASTY) for name in ("one", "two")]
    _, _, operation_id = await platform.deploy()
    assert await platform.ended(operation_id) == "succeeded"
    assert [runner.is_stopped for runner in runners].count(True) == 1
    for runner in runners:
        runner.send(signal.SIGCONT)
    _, _, another = await platform.deploy()
    assert await platform.ended(another) == "succeeded"
    assert len(platform.provider.created) == 2

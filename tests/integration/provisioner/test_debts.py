"""Clean-up debts: what cannot be removed now is removed later, told exactly once (law 7)."""

from tests.integration.provisioner.conftest import Platform, deployment_plan

from clawdeploy_common.ids import new_id
from clawdeploy_events.deployments import InstanceRedeployRequested
from clawdeploy_provisioner.providers.protocol import ProviderUnavailable

SETTLED = "SELECT count(*) FROM cleanup_debts WHERE settled_at IS NOT NULL"
AWAY = ProviderUnavailable("the provider is away")


async def test_a_destroy_while_the_provider_is_away_owes_the_server_and_settles_it_later(platform: Platform) -> None:
    """INVARIANT: no orphan: the debt lasts until the provider confirms."""
    instance = await platform.deployed()
    platform.moments.fail("before destroy", AWAY, times=99)
    await platform.done(await platform.destroy(instance))
    told = await platform.told(instance.id)
    assert told[-3:] == ["cleanup.owed.v1", "instance.destroyed.v1", "operation.completed.v1"]
    assert "server.destroyed.v1" not in told
    await platform.until("SELECT attempts >= 1 FROM cleanup_debts", True)
    assert len((await platform.provider.list_servers()).servers) == 1
    platform.moments.mend()
    await platform.until(SETTLED, 1)
    assert (await platform.told(instance.id))[-2:] == ["server.destroyed.v1", "cleanup.settled.v1"]
    assert (await platform.told(instance.id)).count("server.destroyed.v1") == 1
    assert (await platform.provider.list_servers()).servers == []


async def test_an_owed_server_is_no_orphan_and_its_states_are_not_told(platform: Platform) -> None:
    instance = await platform.deployed()
    server_id = await platform.server_id(instance)
    platform.moments.fail("before destroy", AWAY, times=99)
    await platform.done(await platform.destroy(instance))
    platform.provider.vanish(server_id)
    await platform.rounds(5)
    assert await platform.rows("SELECT 1 FROM orphans") == []
    assert "server.state_changed.v1" not in await platform.told(instance.id)


async def test_an_unexpected_error_of_the_provider_is_owed_too(platform: Platform) -> None:
    instance = await platform.deployed()
    platform.moments.fail("before destroy", ValueError("a bug in the provider"))
    await platform.done(await platform.destroy(instance))
    await platform.until(SETTLED, 1)
    assert (await platform.provider.list_servers()).servers == []


async def test_a_redeploy_does_not_wait_for_the_old_server_to_go(platform: Platform) -> None:
    instance = await platform.deployed()
    platform.moments.fail("before destroy", AWAY, times=2)
    again = new_id()
    await platform.ask(instance, InstanceRedeployRequested, operation_id=again, deployment=deployment_plan(again))
    await platform.done(again)
    await platform.until(SETTLED, 1)
    old, new = platform.provider.created
    assert [str(server.server_id) for server in (await platform.provider.list_servers()).servers] == [new]
    destroyed = await platform.until_told(instance.id, "server.destroyed.v1")
    assert destroyed["server_id"] == old


async def test_a_destroy_whose_answer_never_came_is_confirmed_by_the_debt(platform: Platform) -> None:
    instance = await platform.deployed()
    platform.moments.fail("after destroy", TimeoutError())
    await platform.done(await platform.destroy(instance))
    await platform.until(SETTLED, 1)
    assert (await platform.told(instance.id)).count("server.destroyed.v1") == 1

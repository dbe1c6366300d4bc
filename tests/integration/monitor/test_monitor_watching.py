"""Probing instances: honest verdicts, told once, never over newer knowledge."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from tests.engines.databases import Database
from tests.integration.monitor.agent import PAGE, Agent
from tests.integration.monitor.monitoring import Monitoring, Watched

from clawdeploy_common.clock import utc_now
from clawdeploy_events.lifecycle import DeploymentFailed, OperationFailed, OperationKind, ServerDestroyed, ServerState


async def test_a_started_instance_is_starting_and_then_healthy(monitoring: Monitoring, agent: Agent) -> None:
    watched = Watched()
    await monitoring.receive(watched.started(agent.url))
    assert await monitoring.verdicts() == ["starting"]
    await monitoring.probe()
    (_, healthy) = await monitoring.told("instance.health_changed.v1")
    assert (healthy["process"], healthy["channel"], healthy["lifecycle_version"]) == ("healthy", "ready", 1)


async def test_an_unchanged_verdict_is_a_row_and_no_event(monitoring: Monitoring, agent: Agent) -> None:
    watched = Watched()
    await monitoring.receive(watched.started(agent.url))
    await monitoring.probe(5)
    assert await monitoring.verdicts() == ["starting", "healthy"]
    observations = await monitoring.rows("SELECT * FROM observations")
    assert len(observations) == 5
    assert all(o.alive and o.latency_ms is not None and o.channel == "ready" for o in observations)


async def test_one_lost_probe_alarms_nobody_and_three_do(monitoring: Monitoring, agent: Agent) -> None:
    await monitoring.receive(Watched().started(agent.url))
    await monitoring.probe()
    await agent.stop()
    await monitoring.probe(2)
    assert await monitoring.verdicts() == ["starting", "healthy"]
    await monitoring.probe()
    assert await monitoring.verdicts() == ["starting", "healthy", "unhealthy"]
    await agent.start()
    await monitoring.probe()
    assert (await monitoring.verdicts())[-1] == "unhealthy"
    await monitoring.probe()
    assert (await monitoring.verdicts())[-1] == "healthy"


async def test_a_page_is_not_a_sign_of_life(monitoring: Monitoring, agent: Agent) -> None:
    agent.body = PAGE
    watched = Watched()
    await monitoring.receive(watched.started(agent.url))
    await monitoring.probe(4)
    watch = await monitoring.watch(watched.instance_id)
    assert (watch.process, watch.detail) == ("starting", "/healthz did not say that the gateway lives")


@pytest.mark.parametrize("trouble", ["endless", "silent"])
async def test_an_agent_cannot_hold_the_monitor_up(monitoring: Monitoring, agent: Agent, trouble: str) -> None:
    agent.body, agent.delay_s = (b"x" * 10_000_000, 0.0) if trouble == "endless" else (agent.body, 60.0)
    watched = Watched()
    await monitoring.receive(watched.started(agent.url))
    async with asyncio.timeout(30):
        await monitoring.probe()
    (observation,) = await monitoring.rows("SELECT * FROM observations")
    assert not observation.alive


async def test_a_start_may_take_ninety_seconds(monitoring: Monitoring, agent: Agent) -> None:
    await agent.stop()
    slow, late = Watched(), Watched()
    await monitoring.receive(
        slow.started(agent.url, at=utc_now() - timedelta(seconds=80)),
        late.started(agent.url, at=utc_now() - timedelta(seconds=91)),
    )
    await monitoring.probe()
    assert (await monitoring.watch(slow.instance_id)).process == "starting"
    assert (await monitoring.watch(late.instance_id)).process == "unhealthy"


@pytest.mark.parametrize("state", [ServerState.GONE, ServerState.ERROR])
async def test_a_server_removed_outside_is_gone_at_once_and_drift(
    monitoring: Monitoring, agent: Agent, state: ServerState
) -> None:
    watched = Watched()
    await monitoring.receive(watched.started(agent.url))
    await monitoring.probe()
    await monitoring.receive(watched.server(state, detail="its directory was removed"))
    assert await monitoring.verdicts() == ["starting", "healthy", "gone"]
    (drift,) = await monitoring.told("instance.drifted.v1")
    assert (drift["expected"], drift["observed"], drift["lifecycle_version"]) == ("running", state.value, 2)
    assert drift["detail"] == "its directory was removed"
    assert (await monitoring.watch(watched.instance_id)).next_probe_at is None


async def test_a_server_that_comes_back_is_watched_again(monitoring: Monitoring, agent: Agent) -> None:
    watched = Watched()
    await monitoring.receive(
        watched.started(agent.url), watched.server(ServerState.OFF), watched.server(ServerState.RUNNING)
    )
    await monitoring.probe(2)
    assert (await monitoring.verdicts())[-1] == "healthy"
    await monitoring.receive(watched.server(ServerState.GONE), watched.server(ServerState.RUNNING))
    await monitoring.probe()
    assert (await monitoring.verdicts())[-3:] == ["gone", "starting", "healthy"]
    assert (await monitoring.watch(watched.instance_id)).drift is None


async def test_what_an_operation_does_is_not_drift(monitoring: Monitoring, agent: Agent) -> None:
    """INVARIANT: nothing is drift while an operation is active; what is left is judged when it ends."""
    watched, stop = Watched(), uuid4()
    await monitoring.receive(
        watched.started(agent.url),
        watched.operation_started(stop),
        watched.server(ServerState.OFF),
        watched.stopped(),
        watched.operation_completed(stop),
    )
    assert await monitoring.told("instance.drifted.v1") == []
    assert await monitoring.verdicts() == ["starting", "stopped"]
    assert (await monitoring.watch(watched.instance_id)).next_probe_at is None


async def test_an_operation_that_left_nothing_is_judged_when_it_ends(monitoring: Monitoring, agent: Agent) -> None:
    watched, restart = Watched(), uuid4()
    await monitoring.receive(
        watched.started(agent.url),
        watched.operation_started(restart, OperationKind.RESTART),
        watched.server(ServerState.GONE),
    )
    assert await monitoring.told("instance.drifted.v1") == []
    failed = OperationFailed(operation_id=restart, kind=OperationKind.RESTART, reason="gone")
    await monitoring.receive(watched.event(failed))
    assert [d["observed"] for d in await monitoring.told("instance.drifted.v1")] == ["gone"]


async def test_a_failed_deployment_is_gone_and_no_drift(monitoring: Monitoring, agent: Agent) -> None:
    watched, deploy = Watched(), uuid4()
    await monitoring.receive(
        watched.operation_started(deploy, OperationKind.DEPLOY),
        watched.started(agent.url),
        watched.event(ServerDestroyed(server_id=watched.server_id, provider="process", destroyed_at=utc_now())),
        watched.event(DeploymentFailed(operation_id=deploy, reason="not verified")),
        watched.event(OperationFailed(operation_id=deploy, kind=OperationKind.DEPLOY, reason="not verified")),
    )
    assert await monitoring.told("instance.drifted.v1") == []
    assert await monitoring.verdicts() == ["starting", "gone"]
    assert (await monitoring.watch(watched.instance_id)).next_probe_at is None


async def test_a_server_that_runs_though_it_was_stopped_is_drift(monitoring: Monitoring, agent: Agent) -> None:
    watched = Watched()
    await monitoring.receive(watched.started(agent.url), watched.stopped(), watched.server(ServerState.RUNNING))
    (drift,) = await monitoring.told("instance.drifted.v1")
    assert (drift["expected"], drift["observed"]) == ("stopped", "running")
    await monitoring.receive(watched.started(agent.url))
    assert (await monitoring.watch(watched.instance_id)).drift is None


async def test_another_server_of_the_instance_does_not_matter(monitoring: Monitoring, agent: Agent) -> None:
    watched = Watched()
    await monitoring.receive(watched.started(agent.url), watched.server(ServerState.GONE, server_id=uuid4()))
    assert await monitoring.verdicts() == ["starting"]


async def test_a_probe_that_began_before_a_newer_event_is_discarded(monitoring: Monitoring, agent: Agent) -> None:
    """INVARIANT: an older observation never overwrites newer knowledge."""
    watched = Watched()
    await monitoring.receive(watched.started(agent.url))
    agent.held.clear()
    await monitoring.prober.claim_and_probe()
    while not agent.asked:
        await asyncio.sleep(0.01)
    await monitoring.receive(watched.stopped())
    agent.held.set()
    await monitoring.prober.settle()
    await monitoring.writer.flush()
    assert await monitoring.verdicts() == ["starting", "stopped"]
    assert await monitoring.rows("SELECT 1 FROM observations") == []


async def test_every_lifecycle_event_outdates_a_probe(monitoring: Monitoring, agent: Agent) -> None:
    """INVARIANT: the version a watch knows is that of the newest lifecycle event, also of one without meaning for it."""
    watched = Watched()
    other = DeploymentFailed(operation_id=uuid4(), reason="of another operation")
    await monitoring.receive(watched.started(agent.url), watched.event(other), watched.event(other))
    assert (await monitoring.watch(watched.instance_id)).lifecycle_version == 3


async def test_two_replicas_do_not_probe_twice(monitoring: Monitoring, agent: Agent, database: Database) -> None:
    """INVARIANT: of several replicas one probes an instance when it is due."""
    other = Monitoring(database)
    watched = [Watched() for _ in range(20)]
    await monitoring.receive(*(w.started(agent.url) for w in watched))
    await monitoring.execute("UPDATE watches SET next_probe_at = now()")
    begun = await asyncio.gather(*(m.prober.claim_and_probe() for m in (monitoring, other) for _ in range(2)))
    await asyncio.gather(monitoring.prober.settle(), other.prober.settle())
    assert sum(begun) == 20
    assert agent.asked == 20
    await other.close()


async def test_duplicated_and_replayed_events_change_and_tell_nothing(monitoring: Monitoring, agent: Agent) -> None:
    """INVARIANT: a duplicated or replayed log tells nothing twice."""
    watched = Watched()
    records = [watched.started(agent.url), watched.server(ServerState.GONE), watched.stopped()]
    await monitoring.receive(*records)
    watch, told = await monitoring.watch(watched.instance_id), await monitoring.rows("SELECT event_id FROM outbox")
    await monitoring.receive(*records, *reversed(records))
    await monitoring.receive(records[0])
    assert await monitoring.watch(watched.instance_id) == watch
    assert await monitoring.rows("SELECT event_id FROM outbox") == told


async def test_an_early_event_waits_for_those_before_it(monitoring: Monitoring, agent: Agent) -> None:
    """INVARIANT: per key events apply in order; one that comes early is parked, not applied."""
    watched = Watched()
    first, second = watched.started(agent.url), watched.stopped()
    await monitoring.receive(second)
    assert await monitoring.rows("SELECT 1 FROM watches") == []
    await monitoring.receive(first)
    assert (await monitoring.watch(watched.instance_id)).expected == "running"


async def test_a_full_disk_makes_a_living_agent_unhealthy(monitoring: Monitoring, agent: Agent) -> None:
    watched = Watched()
    await monitoring.receive(watched.started(agent.url))
    await monitoring.probe()
    monitoring.provisioner.view = {"server_state": "running", "channel": "ready", "disk_free_bytes": 0}
    await monitoring.probe(3)
    watch = await monitoring.watch(watched.instance_id)
    assert (watch.process, watch.detail) == ("unhealthy", "its disk is full: 0 bytes are free")


async def test_channel_health_is_apart_from_process_health(monitoring: Monitoring, agent: Agent) -> None:
    watched = Watched()
    await monitoring.receive(watched.started(agent.url))
    await monitoring.probe()
    monitoring.provisioner.view = {"server_state": "running", "channel": "failing"}
    await monitoring.probe()
    assert (await monitoring.watch(watched.instance_id)).channel == "ready"
    await monitoring.probe()
    watch = await monitoring.watch(watched.instance_id)
    assert (watch.process, watch.channel) == ("healthy", "failing")


async def test_why_a_channel_fails_is_told_until_it_works(monitoring: Monitoring, agent: Agent) -> None:
    watched = Watched()
    await monitoring.receive(watched.started(agent.url))
    monitoring.provisioner.view = {"server_state": "running", "channel": "failing", "channel_detail": "unauthorized"}
    await monitoring.probe(3)
    assert (await monitoring.watch(watched.instance_id)).detail == "unauthorized"
    monitoring.provisioner.view = {"server_state": "running", "channel": "ready"}
    await monitoring.probe(2)
    assert (await monitoring.watch(watched.instance_id)).detail is None


async def test_an_agent_that_its_provider_starts_again_is_starting(monitoring: Monitoring, agent: Agent) -> None:
    """INVARIANT: status is honest: nobody need wait for three silences when the provider knows."""
    watched = Watched()
    await monitoring.receive(watched.started(agent.url))
    await monitoring.probe()
    await agent.stop()
    monitoring.provisioner.view = {"server_state": "running", "channel": "ready", "starting": True}
    await monitoring.probe(5)
    assert await monitoring.verdicts() == ["starting", "healthy", "starting"]
    await agent.start()
    await monitoring.probe()
    assert (await monitoring.verdicts())[-1] == "healthy"


async def test_an_absent_provisioner_makes_nobody_unhealthy(monitoring: Monitoring, agent: Agent) -> None:
    watched = Watched()
    await monitoring.receive(watched.started(agent.url))
    monitoring.provisioner.view = None
    await monitoring.probe(4)
    assert (await monitoring.watch(watched.instance_id)).process == "healthy"


async def test_an_instance_without_a_probe_address_is_judged_by_the_providers_view(monitoring: Monitoring) -> None:
    watched = Watched()
    await monitoring.receive(watched.started(None))
    await monitoring.probe()
    assert (await monitoring.watch(watched.instance_id)).process == "healthy"
    monitoring.provisioner.view = {"server_state": "gone", "channel": "unknown", "detail": "no process"}
    await monitoring.probe()
    watch = await monitoring.watch(watched.instance_id)
    assert (watch.process, watch.drift, watch.detail) == ("gone", "gone", "no process")


async def test_a_destroyed_instance_is_probed_no_more(monitoring: Monitoring, agent: Agent) -> None:
    watched = Watched()
    await monitoring.receive(watched.started(agent.url), watched.destroyed())
    await monitoring.probe()
    assert agent.asked == 0
    assert await monitoring.verdicts() == ["starting", "gone"]
    assert await monitoring.told("instance.drifted.v1") == []

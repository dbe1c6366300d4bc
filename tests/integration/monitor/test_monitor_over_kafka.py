"""The monitor as it runs: consuming, probing and telling over a real broker."""

import pytest
from tests.engines.databases import Database
from tests.integration.monitor.agent import Agent
from tests.integration.monitor.monitoring import Watched, settings_for
from tests.integration.running import eventually, own_topics, publish, published_types, running

from clawdeploy_common.events import topic_of
from clawdeploy_monitor.main import build


async def test_an_agent_told_over_the_broker_is_watched(
    kafka: str, database: Database, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_topics(monkeypatch)
    settings = settings_for(database).model_copy(
        update={
            "kafka_bootstrap_servers": kafka,
            "kafka_fetch_max_wait_ms": 50,
            "kafka_partitions": 2,
            "monitor_probe_seconds": 0.2,
            "provisioner_url": "http://127.0.0.1:1",
        }
    )
    service, app = build(settings)
    watched = Watched()

    async def connected() -> bool:
        return service.migrated and all(s.connected for s in service.subscriptions)

    async def told() -> bool:
        return "instance.health_changed.v1" in await published_types(kafka, topic_of("monitor"))

    async def unwell() -> bool:
        return (await published_types(kafka, topic_of("monitor"))).count("instance.health_changed.v1") == 3

    async with running(app):
        await eventually(connected)
        await publish(kafka, [watched.started(agent.url)])
        await eventually(told)
        while agent.asked < 5:
            await eventually(told)
        await agent.stop()
        await eventually(unwell)

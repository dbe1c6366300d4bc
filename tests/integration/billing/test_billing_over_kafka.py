"""Billing as it runs: consuming, booking and telling over a real broker."""

from uuid import uuid4

import pytest
from tests.engines.databases import Database
from tests.integration.billing.books import Books
from tests.integration.billing.conftest import settings_for
from tests.integration.billing.life import Life
from tests.integration.running import eventually, own_topics, publish, published_types, running

from clawdeploy_billing.main import build
from clawdeploy_common.events import topic_of


@pytest.mark.parametrize("broker", ["kafka", "embedded_broker"])
async def test_a_life_told_over_the_broker_is_billed(
    broker: str, database: Database, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    address: str = request.getfixturevalue(broker)
    own_topics(monkeypatch)
    settings = settings_for(database).model_copy(
        update={
            "kafka_bootstrap_servers": address,
            "kafka_idempotence": broker == "kafka",
            "kafka_fetch_max_wait_ms": 50,
            "kafka_partitions": 2,
        }
    )
    service, app = build(settings)
    books, life, server, deploy = Books(service, settings), Life(), uuid4(), uuid4()

    async def closed() -> bool:
        return bool(
            await books.rows("SELECT 1 FROM outbox WHERE type = 'meter.closed.v1' AND published_at IS NOT NULL")
        )

    async def connected() -> bool:
        return service.migrated and all(s.connected for s in service.subscriptions)

    async with running(app):
        await eventually(connected)
        records = [life.created(server, deploy), life.succeeded(server, deploy), life.destroyed(server, hours=2)]
        await publish(address, [*records, *records])
        await eventually(closed)
        assert await books.charged("charge") == 2 * 6_849
        told = await published_types(address, topic_of("billing"))
        assert sorted(told) == ["meter.closed.v1", "meter.opened.v1", "price_book.published.v1"]
        lines = await books.lines()
        done = await service.replay.run()
        assert done.events >= 3
        assert await books.lines() == lines

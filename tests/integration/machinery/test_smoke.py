"""From outbox to projection, on both brokers."""

from uuid import uuid4

import pytest
from tests.engines.databases import Database
from tests.integration.machinery.machine import Machine, eventually, settings_for


@pytest.mark.parametrize("broker", ["kafka", "embedded_broker"])
async def test_an_event_travels_from_outbox_to_projection(
    broker: str, database: Database, request: pytest.FixtureRequest
) -> None:
    address: str = request.getfixturevalue(broker)
    embedded = broker == "embedded_broker"
    producer = Machine("api", settings_for("api", database, address, embedded=embedded))
    consumer = Machine(
        "provisioner", settings_for("provisioner", database, address, embedded=embedded), consumes=["api"]
    )
    key = uuid4()
    await producer.emit(key, 1, 2, 3)

    async def arrived() -> bool:
        return (await consumer.tallied()).get(key) == (6, 3, 3)

    async with producer.running(), consumer.running():
        await eventually(arrived)
    assert await consumer.reacted() == {key: [1, 2, 3]}
    await producer.database.close()
    await consumer.database.close()

"""Prices and cost now, from what billing tells; and projections thrown away and built again."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from tests.integration.api.lifecycle import Story, story
from tests.integration.api.platform import Platform, Tenant, ago

from clawdeploy_api.models import metadata
from clawdeploy_common.clock import utc_now
from clawdeploy_common.events import Event
from clawdeploy_common.records import Record
from clawdeploy_common.tables import projections_of
from clawdeploy_events.billing import MeterClosed, MeterOpened, Price, PriceBookPublished, UsageRecorded
from clawdeploy_events.lifecycle import DeploymentFailed

BOOK = UUID(int=7)


def book(version: int) -> PriceBookPublished:
    prices = [Price(provider="process", plan="pro", cost_micros_per_hour=3_600, charge_micros_per_hour=7_200)]
    return PriceBookPublished(version=version, valid_from=ago(days=1), prices=prices, llm_charge_percent=110)


def opened(meter: UUID, **ago_: float) -> MeterOpened:
    return MeterOpened(
        meter_id=meter,
        server_id=uuid4(),
        since=ago(**ago_),
        cost_micros_per_hour=3_600,
        charge_micros_per_hour=7_200,
        price_version=1,
    )


def used(cost: int, charge: int) -> UsageRecorded:
    return UsageRecorded(
        meter_id=uuid4(),
        key_hash="0" * 64,
        window_start=ago(minutes=2),
        window_end=ago(minutes=1),
        cumulative_micros=cost,
        cost_micros=cost,
        charge_micros=charge,
        price_version=1,
    )


async def cost(told: Story) -> dict[str, Any]:
    return await told.tenant.get(f"/v1/instances/{told.id}/cost")


async def test_cost_now_is_meters_and_usage(platform: Platform, tenant: Tenant) -> None:
    told = await story(platform, tenant)
    await told.deployed()
    meter = uuid4()
    await told.tell(opened(meter, hours=1), used(15, 17), used(5, 6))

    found = await cost(told)
    server, llm = found["lines"]
    assert (server["kind"], server["unit"], server["price_version"]) == ("server", "second", 1)
    assert 3_600 <= server["cost_micros"] <= 3_603
    assert 7_200 <= server["charge_micros"] <= 7_206
    assert (llm["kind"], llm["cost_micros"], llm["charge_micros"]) == ("llm", 20, 23)
    assert found["cost_micros"] == server["cost_micros"] + 20

    closed = MeterClosed(
        meter_id=meter,
        server_id=uuid4(),
        until=utc_now(),
        seconds=3600,
        cost_micros=3_600,
        charge_micros=7_200,
        price_version=1,
    )
    await told.tell(closed)
    whole = await tenant.get("/v1/cost")
    assert (whole["cost_micros"], whole["charge_micros"]) == (3_620, 7_223)
    assert whole["instances"] == [
        {"instance_id": str(told.id), "name": "My agent", "cost_micros": 3_620, "charge_micros": 7_223}
    ]


async def test_after_an_accepted_destroy_the_charge_stands_still(platform: Platform, tenant: Tenant) -> None:
    """INVARIANT: after an accepted destroy, cost is the operator's."""
    told = await story(platform, tenant)
    await told.deployed()
    await told.tell(opened(uuid4(), hours=1))
    await tenant.http.delete(f"/v1/instances/{told.id}")
    await platform.rows(
        "UPDATE instances SET destroy_requested_at = destroy_requested_at - CAST(:span AS interval) WHERE id = :id RETURNING id",
        span=timedelta(minutes=30),
        id=told.id,
    )
    found = await cost(told)
    assert 3_600 <= found["charge_micros"] <= 3_602
    assert 3_600 <= found["cost_micros"] <= 3_603


async def test_a_failed_deployment_is_charged_nothing(platform: Platform, tenant: Tenant) -> None:
    """INVARIANT: a failed deploy is the operator's cost."""
    told = await story(platform, tenant)
    await told.begin()
    await told.tell(DeploymentFailed(operation_id=told.operation, reason="no"), opened(uuid4(), hours=1))
    found = await cost(told)
    assert (found["charge_micros"], found["cost_micros"] >= 3_600) == (0, True)


async def test_the_catalogue_shows_the_prices_that_hold(platform: Platform, tenant: Tenant) -> None:
    plans = {plan["id"]: plan for plan in (await tenant.get("/v1/catalogue/plans"))["items"]}
    assert plans["pro"]["prices"] == []
    await platform.tell(book(1), book(2), key=BOOK)
    platform.gateway.prices._remembered._known = None  # pyright: ignore[reportPrivateUsage] - five seconds are long here
    plans = {plan["id"]: plan for plan in (await tenant.get("/v1/catalogue/plans"))["items"]}
    assert plans["pro"]["prices"] == [
        {"provider": "process", "currency": "USD", "charge_micros_per_hour": 7_200, "price_version": 2}
    ]
    assert {plan: found["max_instances"] for plan, found in plans.items()} == {
        "free": 0,
        "basic": 2,
        "pro": 4,
        "enterprise": 0,
    }
    models = (await tenant.get("/v1/catalogue/models"))["items"]
    assert {"claude-opus-4.5", "gpt-5.2", "gemini-3-flash"} <= {model["id"] for model in models}
    assert models[0]["charge_percent"] == 110
    assert [c["id"] for c in (await tenant.get("/v1/catalogue/channels"))["items"]] == [
        "telegram",
        "discord",
        "whatsapp",
    ]
    offered = [p["id"] for p in (await tenant.get("/v1/catalogue/providers"))["items"]]
    assert offered == ["process", "hetzner", "digitalocean"]


class Recorder(Platform):
    """A platform that remembers the whole log."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.log: list[Record] = []

    def record(self, event: Event, **fields: Any) -> Record:
        record = super().record(event, **fields)
        self.log.append(record)
        return record


async def test_every_projection_equals_its_rebuilt_twin(database: Any) -> None:
    """INVARIANT: a projection can be thrown away."""
    from tests.integration.api.platform import settings_for  # noqa: PLC0415 - beside its use

    platform = Recorder(settings_for(database))
    await platform.start()
    await platform.announce_key()
    told = await story(platform, await platform.tenant(), bot_token="123456:token")
    await platform.tell(book(1), key=BOOK)
    await told.step("reserve", "running")
    await told.deployed()
    await told.observed("healthy")
    await told.tell(opened(uuid4(), hours=1), used(15, 17))
    tables = [table.name for table in projections_of(metadata)]
    assert len(tables) == 7

    async def content() -> dict[str, list[str]]:
        return {
            name: sorted(str(row) for row in await platform.rows(f'SELECT t::text FROM "{name}" t'))  # noqa: S608 - our tables
            for name in tables
        }

    before = await content()
    async with platform.database.transaction() as unit:
        for table in projections_of(metadata):
            await unit.session.execute(text(f'DELETE FROM "{table.name}"'))  # noqa: S608 - our tables
        await unit.session.execute(text("DELETE FROM progress WHERE kind = 'projector'"))
        await platform.service.inbox.replay(unit, platform.log)
    assert await content() == before
    assert all(before.values())
    await platform.stop()

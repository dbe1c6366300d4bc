"""Many deployments at once at a cloud, within its rate limit: none is lost, and the report says how long it took and what was called."""

import asyncio
import json
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.engines.databases import Database
from tests.light.cloud_books import CloudBooks
from tests.light.cloud_world import CloudWorld
from tests.light.clouds import CLOUDS
from tests.light.mortal_world import Wanted

pytestmark = pytest.mark.long

MANY = int(os.environ.get("CLAWDEPLOY_TEST_DEPLOYMENTS", "200"))
REPORT = Path("build/many.json")
AT_ONCE = 8


async def the_most_at_once(world: CloudWorld, most: list[int]) -> None:
    """Note how many operations are worked on at the cloud, again and again."""
    query = "SELECT count(*) AS n FROM operations WHERE lease_until > clock_timestamp() AND finished_at IS NULL"
    while True:
        most.append((await world.rows(query))[0]["n"])
        await asyncio.sleep(0.25)


async def all_ended(world: CloudWorld, operations: list[object]) -> Counter[str]:
    """Wait for the end of them all; how many ended in which state."""
    query = "SELECT state FROM operations WHERE id = ANY($1::uuid[]) AND finished_at IS NOT NULL"
    async with asyncio.timeout(3600):
        while len(rows := await world.rows(query, operations)) < len(operations):
            await asyncio.sleep(0.5)
    return Counter(str(row["state"]) for row in rows)


@pytest.mark.parametrize("name", sorted(CLOUDS))
async def test_many_deployments_at_once_are_all_made_and_all_removed(
    name: str, database: Database, tmp_path: Path
) -> None:
    """INVARIANT: nothing is lost, a provider has no more at once than it may, and its rate limit refuses nothing."""
    count = MANY // len(CLOUDS)
    world = CloudWorld(
        CLOUDS[name], database, tmp_path, provider_concurrency=AT_ONCE, cloud_inventory_seconds=5, is_limited=True
    )
    most: list[int] = []
    began = time.monotonic()
    async with world.running():
        watching = asyncio.create_task(the_most_at_once(world, most))
        wanted: list[Wanted] = [await world.deploy() for _ in range(count)]
        made = await all_ended(world, [each.deployment_id for each in wanted])
        made_s = time.monotonic() - began
        servers = await world.account.servers()
        removed = await all_ended(world, [await world.destroy(each) for each in wanted])
        watching.cancel()
    seconds = time.monotonic() - began
    async with world.running():
        await world.settles(seconds=120)
    await world.is_sound()
    calls = {call: n for call, n in world.calls.items() if "/api/" not in call}
    report = {"deployments": count, "deployed_s": round(made_s), "with_destroys_s": round(seconds)}
    report |= {"lost": count - removed.get("succeeded", 0)}
    report |= {"calls": sum(calls.values()), "refused": world.refused, "most_at_once": max(most)}
    tell(name, {**report, "by_call": calls})
    assert made == removed == {"succeeded": count}
    assert len(servers) == count
    assert max(most) <= AT_ONCE
    assert world.refused == 0
    async with CloudBooks.of(world, database) as books:
        await books.agree_with_the_bill()
    await world.close()


def tell(name: str, report: dict[str, object]) -> None:
    """Keep the report beside the others."""
    REPORT.parent.mkdir(exist_ok=True)
    told: dict[str, object] = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    REPORT.write_text(json.dumps({**told, name: report}, indent=1))

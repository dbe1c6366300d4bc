"""The sweep: rows and listings are compared from both sides, and only what is surely ours and unrecorded goes (law 7)."""

import asyncio
from pathlib import Path
from uuid import UUID

from tests.engines.databases import Database
from tests.integration.provisioner.conftest import MANAGER, Instance, Platform, provisioner

from clawdeploy_common.ids import new_id
from clawdeploy_provisioner.providers.protocol import ServerSpec


async def stray(platform: Platform) -> UUID:
    """A labelled server that nobody recorded."""
    spec = ServerSpec(
        server_id=new_id(),
        instance_id=new_id(),
        account_id=new_id(),
        operation_id=new_id(),
        slug="stray",
        region="local",
        memory_mb=1,
        cpu_millis=1,
    )
    await platform.provider.ensure_server(spec)
    return spec.server_id


async def mint_beside(platform: Platform, name: str) -> str:
    """A key of this name that nobody recorded."""
    response = await platform.openrouter.post("/api/v1/keys", json={"name": name}, headers=MANAGER)
    return response.json()["data"]["hash"]


async def states_told(platform: Platform, instance: Instance) -> list[str]:
    return [data["state"] for name, data in await platform.events(instance.id) if name == "server.state_changed.v1"]


async def test_an_unrecorded_server_is_reported_and_after_its_age_removed(platform: Platform) -> None:
    instance = await platform.deployed()
    server_id = await stray(platform)
    await platform.until_told(server_id, "orphan.found.v1")
    assert len((await platform.provider.list_servers()).servers) == 2
    await platform.until_told(server_id, "orphan.removed.v1")
    assert await platform.told(server_id) == ["orphan.found.v1", "orphan.removed.v1"]
    assert [s.server_id for s in (await platform.provider.list_servers()).servers] == [
        await platform.server_id(instance)
    ]


async def test_an_orphan_that_cannot_be_removed_is_tried_again(platform: Platform) -> None:
    platform.moments.fail("before destroy", ConnectionError("away"), times=2)
    server_id = await stray(platform)
    await platform.until_told(server_id, "orphan.removed.v1")
    assert (await platform.told(server_id)).count("orphan.found.v1") == 1


async def test_a_server_that_is_being_created_is_never_taken_for_an_orphan(platform: Platform) -> None:
    """INVARIANT: intent is committed first, so the sweep knows every server before the provider does."""
    held = platform.moments.hold("after ensure_server")
    instance = await platform.deploy()
    await held.reached.wait()
    await asyncio.sleep(2)  # twice the age at which an orphan goes
    assert await platform.rows("SELECT 1 FROM orphans") == []
    held.release()
    await platform.done(instance.deployment_id)
    assert len((await platform.provider.list_servers()).servers) == 1


async def test_a_destroyed_server_that_is_still_there_is_an_orphan(platform: Platform) -> None:
    """What a runner that stood still creates after its operation was undone."""
    held = platform.moments.hold("before ensure_server")
    instance = await platform.deploy()
    await held.reached.wait()
    (row,) = await platform.rows("SELECT id FROM servers")
    held.release()
    await platform.done(instance.deployment_id)
    await platform.done(await platform.destroy(instance))
    (folder := platform.provider.folder_of(row.id)).mkdir()
    (folder / "server.json").write_text(f'{{"instance_id": "{instance.id}", "port": 1, "pid": null, "model": null}}')
    await platform.until_told(row.id, "orphan.removed.v1")
    assert (await platform.told(instance.id)).count("server.destroyed.v1") == 1


async def test_a_server_removed_outside_is_told_once_even_when_it_was_the_only_one(platform: Platform) -> None:
    """A provider that remembers its servers lists the removed one as gone."""
    instance = await platform.deployed()
    platform.provider.vanish(await platform.server_id(instance))
    changed = await platform.until_told(instance.id, "server.state_changed.v1")
    assert (changed["state"], changed["previous"]) == ("gone", "running")
    await platform.rounds(3)
    assert await states_told(platform, instance) == ["gone"]
    await platform.done(await platform.destroy(instance))
    assert (await platform.told(instance.id)).count("server.destroyed.v1") == 1


async def test_a_server_missing_from_a_whole_listing_is_gone(platform: Platform) -> None:
    platform.provider.remembers = False
    first, second = await platform.deployed(), await platform.deployed()
    platform.provider.vanish(await platform.server_id(first))
    changed = await platform.until_told(first.id, "server.state_changed.v1")
    assert (changed["state"], changed["detail"]) == ("gone", "The server was removed outside the platform.")
    assert await states_told(platform, second) == []


async def test_an_empty_or_incomplete_listing_gives_no_verdict(platform: Platform) -> None:
    """INVARIANT: what an empty or partial listing lacks proves nothing."""
    platform.provider.remembers = False
    first, second = await platform.deployed(), await platform.deployed()
    platform.provider.complete = False
    platform.provider.vanish(await platform.server_id(first))
    await platform.rounds(3)
    platform.provider.vanish(await platform.server_id(second))
    platform.provider.complete = True
    await platform.rounds(3)
    assert await states_told(platform, first) + await states_told(platform, second) == []
    assert await platform.rows("SELECT 1 FROM servers WHERE state = 'gone'") == []


async def test_a_listing_from_before_an_operation_does_not_overwrite_what_it_did(platform: Platform) -> None:
    """INVARIANT: an older observation never overwrites a newer state (law 9)."""
    held = platform.moments.hold("before list_servers")
    await held.reached.wait()
    instance = await platform.deployed()
    held.release()
    await platform.rounds(2)
    assert await states_told(platform, instance) == []


async def test_a_key_nobody_knows_is_removed_and_no_other_platforms_key(database: Database, tmp_path: Path) -> None:
    """INVARIANT: of one account's keys only those named after our own instances are ours to remove."""
    async with provisioner(database, tmp_path, key_sweep_seconds=0.3) as platform:
        instance = await platform.deployed()
        (own,) = await platform.live_keys()
        lost = await mint_beside(platform, f"clawdeploy/{instance.id}/{instance.deployment_id}")
        foreign = {
            await mint_beside(platform, f"clawdeploy/{new_id()}/{new_id()}"),
            await mint_beside(platform, "a person's"),
        }
        async with asyncio.timeout(20):
            while lost in await platform.live_keys():
                await asyncio.sleep(0.1)
        await asyncio.sleep(1.5)
        assert set(await platform.live_keys()) == {own, *foreign}
        assert await platform.rows("SELECT 1 FROM outbox WHERE type = 'orphan.removed.v1'") != []

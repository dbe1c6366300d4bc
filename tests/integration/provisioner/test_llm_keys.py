"""LLM keys under faults of OpenRouter: exactly one lives, and it is never deleted before its last reading."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.engines.databases import Database
from tests.integration.provisioner.conftest import MANAGER, Platform, provisioner

from clawdeploy_events.deployments import DeploymentCancelRequested

ENDED = "SELECT count(*) FROM cleanup_debts WHERE settled_at IS NOT NULL"


def minting(kind: str, **more: Any) -> dict[str, Any]:
    return {"method": "POST", "path_prefix": "/keys", "kind": kind, **more}


@pytest.mark.parametrize("fault", ["timeout_before", "timeout_after", "server_error", "rate_limit"])
async def test_whatever_happens_to_the_minting_one_key_lives_at_the_end(platform: Platform, fault: str) -> None:
    """INVARIANT: a key whose answer was lost is deleted, and the instance has exactly one."""
    await platform.faults(minting(fault, seconds=2))
    instance = await platform.deployed()
    (key,) = await platform.keys()
    assert not key["disabled"]
    (row,) = await platform.rows("SELECT key_hash, state FROM llm_keys")
    assert (row.key_hash, row.state) == (key["hash"], "active")
    assert (await platform.told(instance.id)).count("llm_key.minted.v1") == 1


async def test_a_retry_after_is_respected(platform: Platform) -> None:
    await platform.faults(minting("rate_limit", seconds=3))
    instance = await platform.deployed()
    (waited,) = await platform.rows(
        "SELECT extract(epoch FROM finished_at - started_at) FROM operation_steps WHERE name = 'mint_llm_key'"
    )
    assert waited[0] >= 3
    assert "OpenRouter answered 429. Trying again in 3 s." in await platform.output(instance.deployment_id)


async def test_a_key_has_the_limit_of_its_plan_and_a_name_that_tells_whose_it_is(platform: Platform) -> None:
    instance = await platform.deployed(llm_limit_micros=2_500_000)
    (key,) = await platform.keys()
    assert (key["limit"], key["name"]) == (2.5, f"clawdeploy/{instance.id}/{instance.deployment_id}")


async def test_without_a_management_key_a_deployment_fails_and_says_what_to_do(
    database: Database, tmp_path: Path
) -> None:
    async with provisioner(database, tmp_path, OPENROUTER_MANAGEMENT_KEY="") as platform:
        instance = await platform.deploy()
        row = await platform.ended(instance.deployment_id)
        assert (row.state, row.error_step) == ("failed", "mint_llm_key")
        assert "set OPENROUTER_MANAGEMENT_KEY" in row.error
        assert await platform.rows("SELECT 1 FROM cleanup_debts") == []


async def test_a_refused_management_key_fails_the_deployment_and_owes_nothing(
    database: Database, tmp_path: Path
) -> None:
    async with provisioner(database, tmp_path, OPENROUTER_MANAGEMENT_KEY="sk-or-v1-wrong") as platform:
        instance = await platform.deploy()
        row = await platform.ended(instance.deployment_id)
        assert (row.state, row.error_step) == ("failed", "mint_llm_key")
        assert row.error.startswith("OpenRouter answered 401")
        assert await platform.rows("SELECT 1 FROM cleanup_debts") == []


async def test_a_key_is_disabled_at_destroy_and_deleted_after_its_grace(database: Database, tmp_path: Path) -> None:
    """INVARIANT: never deleted before its last reading."""
    async with provisioner(database, tmp_path, llm_key_grace_seconds=3) as platform:
        instance = await platform.deployed()
        await platform.done(await platform.destroy(instance))
        assert [key["disabled"] for key in await platform.keys()] == [True]
        (job,) = await platform.rows("SELECT kind, run_at, payload FROM jobs")
        revoked = await platform.until_told(instance.id, "llm_key.revoked.v1")
        (row,) = await platform.rows("SELECT id, key_hash, disabled_at, secret FROM llm_keys")
        assert (revoked["key_hash"], row.secret, job.payload) == (row.key_hash, None, {"key_id": str(row.id)})
        assert job.run_at - row.disabled_at == timedelta(seconds=3)
        await platform.until("SELECT state FROM llm_keys", "deleted")
        assert await platform.keys() == []
        (done,) = await platform.rows("SELECT deleted_at - disabled_at FROM llm_keys")
        assert done[0] >= timedelta(seconds=3)


async def test_a_key_that_cannot_be_disabled_is_owed_and_told_when_it_is(platform: Platform) -> None:
    """INVARIANT: the destroy goes on, the debt is tried until OpenRouter confirms, and it is told once."""
    instance = await platform.deployed()
    await platform.faults({"method": "PATCH", "path_prefix": "/keys", "kind": "server_error", "times": 2})
    await platform.done(await platform.destroy(instance))
    assert (await platform.until_told(instance.id, "cleanup.owed.v1"))["resource"] == "llm_key"
    await platform.until(ENDED, 1)
    assert [key["disabled"] for key in await platform.keys()] == [True]
    told = await platform.told(instance.id)
    assert (told.count("llm_key.revoked.v1"), told.count("cleanup.settled.v1")) == (1, 1)
    assert [tuple(row) for row in await platform.rows("SELECT kind FROM jobs")] == [("delete_llm_key",)]


async def test_a_key_whose_minting_was_never_confirmed_is_owed_by_its_name(platform: Platform) -> None:
    """The answer was lost and OpenRouter is away while the deployment is undone: the key is found by its name later."""
    await platform.faults(minting("timeout_after", seconds=5))
    instance = await platform.deploy()
    async with asyncio.timeout(20):
        while (await platform.openrouter.get("/_emulator/faults", headers=MANAGER)).json()["faults"]:
            await asyncio.sleep(0.05)
    await platform.faults({"method": "GET", "path_prefix": "/keys", "kind": "server_error", "times": 2})
    await platform.ask(instance, DeploymentCancelRequested, operation_id=instance.deployment_id)
    assert (await platform.ended(instance.deployment_id)).state == "cancelled"
    await platform.until("SELECT state FROM llm_keys", "deleted")
    await platform.faults()
    assert await platform.keys() == []

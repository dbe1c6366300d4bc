"""The sealing key changes and no secret is lost: sealed again, told, fetched, and only then does the old key go."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.engines.databases import Database
from tests.integration.provisioner.conftest import Instance, Platform, provisioner
from tests.integration.provisioner.test_encryption_key import PUBLISHED
from tests.integration.provisioner.test_secrets import BOT_TOKEN, OWN_KEY, sealing_key, with_secrets

from clawdeploy_common.http import ASGITransport, AsyncClient
from clawdeploy_common.ids import new_id
from clawdeploy_common.tokens import InternalTokens
from clawdeploy_events.deployments import ConfigPublished, SecretReference
from clawdeploy_provisioner.encryption import EncryptionKeys
from clawdeploy_provisioner.sealing_keys import SealingKeys

LATER = "a bot token that no operation has fetched yet"
KEYS = "SELECT count(*) FROM sealing_keys"


@pytest.fixture
async def platform(database: Database, tmp_path: Path) -> AsyncGenerator[Platform]:
    """A provisioner that looks often, and lets an old key go at once."""
    async with provisioner(
        database, tmp_path, sealing_round_seconds=0.1, sealing_key_grace_seconds=0, inventory_seconds=5
    ) as running:
        yield running


async def ask(platform: Platform, method: str, path: str, **claims: Any) -> Any:
    """What an internal route answers to the gateway."""
    token = InternalTokens(platform.service.settings.internal_secret, service="api").issue("provisioner", **claims)
    async with AsyncClient(transport=ASGITransport(platform.app), base_url="http://provisioner") as client:
        return await client.request(method, path, headers={"Authorization": f"Bearer {token}"})


async def rotate(platform: Platform) -> UUID:
    """Ask as an operator for a new key."""
    answer = await ask(platform, "POST", "/internal/operator/sealing-keys/rotate", operator=True)
    assert answer.status_code == 200, answer.text
    return UUID(answer.json()["sealing_key_id"])


async def deployed(platform: Platform) -> tuple[Instance, UUID]:
    """An instance with two secrets in use and one that was never fetched, and the key they are sealed to."""
    instance = await with_secrets(platform)
    platform.gateway.accounts[instance.id] = instance.account_id
    await platform.done(instance.deployment_id)
    key_id, public_key = await sealing_key(platform)
    platform.gateway.put(LATER, at=(instance.id, "bot_token", 2), public_key=public_key, key_id=key_id)
    platform.gateway.newest = key_id
    return instance, key_id


async def resealed(platform: Platform, instance: Instance, *, count: int) -> list[dict[str, Any]]:
    """Wait until so many secrets were told to be sealed again."""
    async with asyncio.timeout(20):
        while True:
            told = [data for name, data in await platform.events(instance.id) if name == "secret.resealed.v1"]
            if len(told) >= count:
                return told
            await asyncio.sleep(0.03)


async def fetch_all(platform: Platform, instance: Instance, told: list[dict[str, Any]]) -> None:
    """Do what the gateway's job does."""
    for event in told:
        path = f"/internal/instances/{instance.id}/secrets/{event['name']}/versions/{event['version']}"
        fetched = (await ask(platform, "GET", path, account_id=instance.account_id)).json()
        assert fetched["sealed_hash"] == event["sealed_hash"]
        assert fetched["sealing_key_id"] == event["sealing_key_id"]
        platform.gateway.replace((instance.id, event["name"], event["version"]), fetched)


async def test_everything_is_sealed_again_and_then_the_old_key_goes(platform: Platform) -> None:
    """INVARIANT: an old key goes when no live row names it, not before, and every secret still opens."""
    instance, old = await deployed(platform)
    new = await rotate(platform)
    told = await resealed(platform, instance, count=3)
    assert sorted((event["name"], event["version"]) for event in told) == [
        ("api_key.openrouter", 1),
        ("bot_token", 1),
        ("bot_token", 2),
    ]
    assert {event["sealing_key_id"] for event in told} == {str(new)}
    assert await platform.rows("SELECT 1 FROM secret_copies WHERE sealing_key_id <> :new", new=new) == []
    platform.gateway.newest = new
    await fetch_all(platform, instance, told)
    await platform.until("SELECT id FROM sealing_keys", new)
    assert old != new
    secrets = [SecretReference(name="bot_token", version=2), SecretReference(name="api_key.openrouter", version=1)]
    await platform.done(await platform.ask(instance, ConfigPublished, **PUBLISHED, secrets=secrets))
    environment = platform.provider.bundles[await platform.server_id(instance)].environment
    assert {LATER, OWN_KEY} <= set(environment.values())
    assert len(await resealed(platform, instance, count=3)) == 3


async def test_a_key_that_the_gateway_still_seals_to_or_holds_something_of_stays(platform: Platform) -> None:
    """INVARIANT: what the gateway seals before it hears of the new key can be opened."""
    instance, old = await deployed(platform)
    new = await rotate(platform)
    await fetch_all(platform, instance, await resealed(platform, instance, count=3))
    (row,) = await platform.rows("SELECT public_key FROM sealing_keys WHERE id = :old", old=old)
    await rounds(platform, 3)
    await platform.until(KEYS, 2)  # nothing is sealed to it, but the gateway has not heard yet
    platform.gateway.put(LATER, at=(instance.id, "bot_token", 3), public_key=row.public_key, key_id=old)
    platform.gateway.newest = new
    told = await resealed(platform, instance, count=4)
    assert (told[-1]["name"], told[-1]["version"]) == ("bot_token", 3)
    await rounds(platform, 3)
    await platform.until(KEYS, 2)  # the gateway has not fetched it yet
    await fetch_all(platform, instance, told)
    await platform.until("SELECT id FROM sealing_keys", new)


async def rounds(platform: Platform, count: int) -> None:
    """Wait until the gateway was asked so many more times what it holds."""
    until = platform.gateway.listed + count
    async with asyncio.timeout(20):
        while platform.gateway.listed < until:
            await asyncio.sleep(0.03)


async def test_an_old_key_gets_a_successor(platform: Platform) -> None:
    first, _ = await sealing_key(platform)
    platform.gateway.newest = first
    await age(platform, first, days=89)
    keys = SealingKeys(platform.service.database, EncryptionKeys(current=b"k" * 32))
    assert await keys.renew(older_than=timedelta(days=90)) is None
    await age(platform, first, days=91)
    await platform.until(KEYS, 2)
    rows = await platform.rows("SELECT key, time FROM outbox WHERE type = 'sealing_key.announced.v1' ORDER BY id")
    newest = (await platform.rows("SELECT id, created_at FROM sealing_keys ORDER BY created_at DESC"))[0]
    assert (rows[-1].key, rows[-1].time) == (newest.id, newest.created_at)


async def age(platform: Platform, key_id: UUID, *, days: int) -> None:
    """Make a key so old."""
    statement = text("UPDATE sealing_keys SET created_at = now() - make_interval(days => :days) WHERE id = :id")
    async with platform.service.database.connection() as connection:
        await connection.execute(statement, {"days": days, "id": key_id})


async def test_only_the_account_gets_its_sealed_bytes_and_only_operators_rotate(platform: Platform) -> None:
    """INVARIANT: a tenant is a wall, for internal callers too."""
    instance, _ = await deployed(platform)
    path = f"/internal/instances/{instance.id}/secrets/bot_token/versions/1"
    assert (await ask(platform, "GET", path, account_id=instance.account_id)).status_code == 200
    assert (await ask(platform, "GET", path, account_id=new_id())).status_code == 404
    assert (await ask(platform, "GET", path)).status_code == 404
    rotating = "/internal/operator/sealing-keys/rotate"
    assert (await ask(platform, "POST", rotating, account_id=instance.account_id)).status_code == 403
    await platform.until(KEYS, 1)


async def test_events_of_resealing_hold_no_secret(platform: Platform, capfd: pytest.CaptureFixture[str]) -> None:
    instance, _ = await deployed(platform)
    await rotate(platform)
    told = await resealed(platform, instance, count=3)
    (copy,) = await platform.rows("SELECT sealed FROM secret_copies WHERE version = 2")
    shown = json.dumps(told) + "".join(capfd.readouterr())
    for secret in (BOT_TOKEN, OWN_KEY, LATER, base64.b64encode(copy.sealed).decode(), copy.sealed.hex()):
        assert secret not in shown

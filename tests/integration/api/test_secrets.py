"""Secrets and configurations: sealed at the door, versioned, fetched by the provisioner only."""

import base64
import json
from typing import Any
from uuid import UUID

from httpx import Response
from tests.integration.api.lifecycle import story
from tests.integration.api.platform import CREATE, Platform, Tenant, id_of

from clawdeploy_common.clock import utc_now
from clawdeploy_common.sealing import open_sealed, secret_info
from clawdeploy_common.tokens import InternalTokens
from clawdeploy_events.lifecycle import InstanceDestroyed

TOKEN = "123456789:planted-bot-token-planted-bot"
KEY = "sk-planted-planted-planted"


async def fetch(platform: Platform, tenant: Tenant, path: str, *, caller: str = "provisioner") -> Response:
    token = InternalTokens(platform.settings.internal_secret, service=caller).issue("api", account_id=tenant.id)
    return await platform.client().get(f"/internal/instances/{path}", headers={"Authorization": f"Bearer {token}"})


async def test_without_a_key_to_seal_to_a_secret_is_not_taken(tenant: Tenant) -> None:
    answer = await tenant.http.post("/v1/instances", json={**CREATE, "bot_token": TOKEN})
    assert (answer.status_code, answer.json()["code"]) == (503, "temporarily-unavailable")
    assert "sealed" in answer.json()["detail"]
    assert (await tenant.get("/v1/me"))["quota"]["used"] == 0


async def test_a_secret_is_sealed_and_only_the_provisioner_can_open_it(platform: Platform, tenant: Tenant) -> None:
    """INVARIANT: secrets are write-only."""
    key_id = await platform.announce_key()
    instance = await tenant.create(bot_token=TOKEN, api_key={"openrouter": KEY})
    assert (instance["bot_token"], instance["api_key"]) == ("***", {"openrouter": "***"})
    assert instance["channel_status"] == "unknown"

    answer = await fetch(platform, tenant, f"{instance['id']}/secrets/bot_token/versions/1")
    sealed = base64.b64decode(answer.json()["sealed"])
    info = secret_info(instance_id=id_of(instance), name="bot_token", version=1)
    assert open_sealed(sealed, private_key=platform.private_key, info=info).decode() == TOKEN
    assert answer.json()["sealing_key_id"] == str(key_id)
    deployment = json.loads((await platform.hear())[-1].data)["deployment"]
    assert deployment["secrets"] == [
        {"name": "api_key.openrouter", "version": 1},
        {"name": "bot_token", "version": 1},
    ]
    assert deployment["llm_key"] == "own"


async def test_secrets_and_configurations_are_behind_the_wall_and_for_the_provisioner_only(
    platform: Platform, tenant: Tenant
) -> None:
    """INVARIANT: a tenant is a wall, for internal callers too."""
    await platform.announce_key()
    other = await platform.tenant()
    instance = await tenant.create(bot_token=TOKEN)
    for path in (f"{instance['id']}/secrets/bot_token/versions/1", f"{instance['id']}/configs/1"):
        assert (await fetch(platform, tenant, path)).status_code == 200
        assert (await fetch(platform, other, path)).status_code == 404
        assert (await fetch(platform, tenant, path, caller="monitor")).status_code == 403
        assert (await tenant.http.get(f"/internal/instances/{path}")).status_code == 401


async def test_a_planted_secret_is_nowhere(platform: Platform, tenant: Tenant, capsys: Any) -> None:
    """INVARIANT: secrets are never in a log, an event or a response."""
    await platform.announce_key()
    answer = await tenant.http.post(
        "/v1/instances",
        json={**CREATE, "bot_token": TOKEN, "api_key": {"anthropic": KEY}},
        headers={"Idempotency-Key": "planted"},
    )
    path = answer.headers["location"]
    shown = [answer.text, (await tenant.http.get(path)).text, (await tenant.http.get("/v1/instances")).text]
    tables = await platform.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'api'")
    for table in tables:
        shown += [str(row) for row in await platform.rows(f'SELECT t::text FROM "{table.tablename}" t')]  # noqa: S608 - our own tables
    written = " ".join(shown) + capsys.readouterr().out
    for secret in (TOKEN, KEY):
        assert secret not in written
        assert secret.encode().hex() not in written


async def test_new_secrets_and_configurations_are_published_as_new_versions(platform: Platform, tenant: Tenant) -> None:
    await platform.announce_key()
    told = await story(platform, tenant, bot_token=TOKEN)
    await told.deployed()
    path = f"/v1/instances/{told.id}"
    changed = await tenant.http.patch(path, json={"bot_token": "another-token", "config": {"dm_policy": "disabled"}})

    assert changed.status_code == 200, changed.text
    assert (changed.json()["config_version"], changed.json()["operation"]["kind"]) == (2, "apply_config")
    event = (await platform.hear())[-1]
    published = json.loads(event.data)
    assert (event.type, published["version"], published["channel"]) == ("config.published.v1", 2, "telegram")
    assert published["secrets"] == [{"name": "bot_token", "version": 2}]
    config = (await fetch(platform, tenant, f"{told.id}/configs/2")).json()
    assert config == {"version": 2, "content_hash": published["content_hash"], "config": {"dm_policy": "disabled"}}


async def test_an_empty_secret_is_removed_and_may_come_again_as_a_new_version(
    platform: Platform, tenant: Tenant
) -> None:
    """INVARIANT: what a person gave, a person can take away: no later configuration names it, and no old version returns."""
    await platform.announce_key()
    told = await story(platform, tenant, bot_token=TOKEN, api_key={"openai": KEY})
    await told.deployed()
    path = f"/v1/instances/{told.id}"
    removed = await tenant.http.patch(path, json={"bot_token": "", "api_key": {"openai": "***"}})

    shown = removed.json()
    assert (removed.status_code, shown["bot_token"], shown["api_key"]) == (200, None, {"openai": "***"})
    *_, event, published = await platform.hear()
    assert (event.type, json.loads(event.data)) == ("secret.removed.v1", {"name": "bot_token", "version": 1})
    assert json.loads(published.data)["secrets"] == [{"name": "api_key.openai", "version": 1}]

    await told.applied(UUID(shown["operation"]["id"]))
    again = await tenant.http.patch(path, json={"bot_token": TOKEN})
    assert (again.status_code, again.json()["bot_token"]) == (200, "***")
    references = json.loads((await platform.hear())[-1].data)["secrets"]
    assert references == [{"name": "api_key.openai", "version": 1}, {"name": "bot_token", "version": 2}]


async def test_removing_what_is_not_there_changes_nothing(platform: Platform, tenant: Tenant) -> None:
    told = await story(platform, tenant)
    await told.deployed()
    before = len(await platform.hear())
    answer = await tenant.http.patch(f"/v1/instances/{told.id}", json={"bot_token": "", "api_key": {"google": ""}})
    assert (answer.status_code, answer.json()["config_version"], len(await platform.hear())) == (200, 1, before)


async def test_stars_and_equal_values_change_nothing(platform: Platform, tenant: Tenant) -> None:
    await platform.announce_key()
    told = await story(platform, tenant, bot_token=TOKEN, config={"dm_policy": "pairing"})
    await told.deployed()
    before = len(await platform.hear())
    body = {"bot_token": "***", "api_key": None, "config": {"dm_policy": "pairing"}, "name": "My agent"}
    answer = await tenant.http.patch(f"/v1/instances/{told.id}", json=body)
    assert (answer.status_code, answer.json()["config_version"], len(await platform.hear())) == (200, 1, before)


async def test_an_instances_end_erases_its_secrets(platform: Platform, tenant: Tenant) -> None:
    await platform.announce_key()
    told = await story(platform, tenant, bot_token=TOKEN)
    await told.tell(InstanceDestroyed(destroyed_at=utc_now()))
    assert await platform.rows("SELECT * FROM secrets") == []

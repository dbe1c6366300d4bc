"""Creating, listing and showing instances; the events that go out."""

import json
from typing import Any

from tests.integration.api.platform import CREATE, Platform, Tenant, id_of


async def test_a_created_instance_is_whole_and_pending(platform: Platform, tenant: Tenant) -> None:
    answer = await tenant.http.post("/v1/instances", json=CREATE)

    instance = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/instances/{instance['id']}"
    assert (instance["status"], instance["channel_status"]) == ("pending", "needs_token")
    assert (instance["name"], instance["slug"], instance["model"]) == ("My agent", "my-agent", "gpt-5.2")
    assert instance["operation"]["kind"] == "deploy"
    assert await tenant.get(answer.headers["location"]) == instance


async def test_an_instance_at_a_stand_in_says_so(tenant: Tenant) -> None:
    """INVARIANT: nobody takes an emulated server for a real one."""
    shown = {name: (await tenant.create(provider=name))["emulated"] for name in ("digitalocean", "hetzner", "process")}
    assert shown == {"digitalocean": True, "hetzner": False, "process": False}


async def test_creating_puts_one_event_with_everything_a_deployment_needs_in_the_outbox(
    platform: Platform, tenant: Tenant
) -> None:
    """INVARIANT: state change and event commit together."""
    instance = await tenant.create(config={"dm_policy": "pairing", "plugins": "full"}, model="claude-opus")

    found = [row for row in await platform.hear() if row.type == "deployment.requested.v1"]
    assert [(row.key, row.version, row.account_id) for row in found] == [(id_of(instance), 1, tenant.id)]
    deployment = json.loads(found[0].data)["deployment"]
    assert deployment["model"] == "anthropic/claude-opus-4.5"
    assert (deployment["slug"], deployment["plan"], deployment["memory_mb"]) == ("my-agent", "pro", 4096)
    assert (deployment["plugins"], deployment["config_version"], deployment["llm_key"]) == ("full", 1, "minted")
    assert deployment["operation_id"] == instance["operation"]["id"] == str(found[0].correlation_id)


async def test_a_taken_slug_gets_a_suffix_and_a_chosen_one_is_refused(tenant: Tenant) -> None:
    first, second = await tenant.create(), await tenant.create()
    assert first["slug"] == "my-agent"
    assert second["slug"].startswith("my-agent-")

    answer = await tenant.http.post("/v1/instances", json={**CREATE, "slug": "my-agent"})
    assert (answer.status_code, answer.json()["code"]) == (409, "slug-taken")
    assert (await tenant.get("/v1/me"))["quota"]["used"] == 2


async def test_names_are_any_text_and_slugs_are_safe(tenant: Tenant) -> None:
    instance = await tenant.create(name="  Ünïcode 🤖 $(rm -rf /) ")
    assert instance["name"] == "Ünïcode 🤖 $(rm -rf /)"
    assert instance["slug"] == "unicode-rm-rf"
    assert (await tenant.create(name="日本語"))["slug"] == "agent"


async def test_a_list_is_read_page_by_page_newest_first(tenant: Tenant) -> None:
    made = [await tenant.create(name=f"agent {number}") for number in range(3)]

    first = await tenant.get("/v1/instances", limit=2)
    second = await tenant.get("/v1/instances", limit=2, cursor=first["next_cursor"])
    assert [item["id"] for item in first["items"] + second["items"]] == [item["id"] for item in reversed(made)]
    assert second["next_cursor"] is None


async def test_a_list_is_narrowed_by_what_is_asked_for(tenant: Tenant) -> None:
    one = await tenant.create(model="gemini", channel="discord")
    await tenant.create()

    async def ids(**query: Any) -> list[str]:
        return [item["id"] for item in (await tenant.get("/v1/instances", **query))["items"]]

    assert await ids(model="gemini-3-flash") == [one["id"]]
    assert await ids(channel="discord", status="pending") == [one["id"]]
    assert await ids(slug="no-such-slug") == []
    assert await ids(status="running") == []


async def test_the_seeds_paths_are_aliases(tenant: Tenant) -> None:
    answer = await tenant.http.post("/api/instances", json=CREATE)
    assert answer.status_code == 201
    found = await tenant.get(f"/api/instances/{answer.json()['id']}")
    assert found == await tenant.get(answer.headers["location"])


async def test_every_mutation_is_in_the_audit_log_without_secrets(platform: Platform, tenant: Tenant) -> None:
    await platform.announce_key()
    instance = await tenant.create(bot_token="123456:planted-token")
    await tenant.http.patch(f"/v1/instances/{instance['id']}", json={"name": "New"})

    entries = await platform.rows("SELECT * FROM audit_log WHERE account_id = :id ORDER BY id", id=tenant.id)
    assert [(entry.action, str(entry.subject)) for entry in entries] == [
        ("instance.create", instance["id"]),
        ("instance.change", instance["id"]),
    ]
    assert entries[0].details["secrets"] == ["bot_token"]
    assert "planted" not in str(entries)

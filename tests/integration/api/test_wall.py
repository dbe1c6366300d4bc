"""The tenant's wall: keys, roles, row-level security, and every route with a foreign account."""

import re
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from asyncpg import PostgresError
from sqlalchemy import text
from tests.engines.databases import Database
from tests.integration.api.platform import CREATE, Platform, Tenant, id_of, settings_for

from clawdeploy_api.models import metadata
from clawdeploy_api.openapi import document
from clawdeploy_common.migrating import differences

NOT_TENANTS = {
    "alembic_version",
    "schema_version",
    "streams",
    "outbox",
    "relay_state",
    "relay_offsets",
    "progress",
    "consumed_epochs",
    "parked_events",
    "jobs",
    "api_keys",
    "rate_limits",
    "sealing_keys",
    "price_books",
}
BODIES: dict[str, Any] = {
    "create_instance": CREATE,
    "create_account": {"name": "A"},
    "change_instance": {"name": "Mine now"},
    "do_action": {"action": "destroy"},
    "chat": {"messages": [{"role": "user", "content": "hello"}]},
}
OPERATIONS = [
    (method.upper(), path, operation["operationId"], operation.get("tags", []))
    for path, methods in document()["paths"].items()
    for method, operation in methods.items()
]
AGENTS = ["on-server agent"]  # known by secrets of their own, of no account
FOREIGN = [
    found
    for found in OPERATIONS
    if "_id}" in found[1] and found[3] not in (["admin"], AGENTS) and "account_id" not in found[1]
]
OPERATORS = [found for found in OPERATIONS if found[3] == ["admin"] or found[1].startswith("/v1/accounts")]
SIGNED_IN = [found for found in OPERATIONS if found[1].startswith("/v1/") and found[3] != AGENTS]


def names(found: list[tuple[str, str, str, list[str]]]) -> list[Any]:
    return [pytest.param(method, path, name, id=name) for method, path, name, _ in found]


def filled(path: str, instance: dict[str, Any]) -> str:
    """A path with this instance's ids in it."""
    path = path.replace("{instance_id}", instance["id"]).replace("{operation_id}", instance["operation"]["id"])
    return re.sub(r"\{service\}", "api", re.sub(r"\{(letter|account)_id\}", instance["id"], path))


@pytest.mark.parametrize(("method", "path", "name"), names(FOREIGN))
async def test_a_foreign_account_finds_nothing(
    platform: Platform, tenant: Tenant, method: str, path: str, name: str
) -> None:
    """INVARIANT: every route answers a foreign account 404, and nothing is changed."""
    instance = await tenant.create()
    stranger = await platform.tenant()
    before = len(await platform.hear())
    answer = await stranger.http.request(method, filled(path, instance), json=BODIES.get(name))

    assert (answer.status_code, answer.json()["code"]) == (404, "not-found"), answer.text
    assert len(await platform.hear()) == before
    assert await tenant.get(f"/v1/instances/{instance['id']}") == instance


@pytest.mark.parametrize(("method", "path", "name"), names(OPERATORS))
async def test_operators_routes_are_closed_to_others(
    platform: Platform, tenant: Tenant, method: str, path: str, name: str
) -> None:
    instance = await tenant.create()
    answer = await tenant.http.request(method, filled(path, instance), json=BODIES.get(name))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize("key", [None, "", "claw_" + "x" * 43, "x" * 300])
async def test_nothing_under_v1_opens_without_a_key(platform: Platform, key: str | None) -> None:
    """INVARIANT: every route of the API needs a key."""
    instance = await platform.admin.create()
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    for method, path, name, _ in SIGNED_IN:
        body = (
            {"json": BODIES.get(name, CREATE if name == "create_instance" else {"name": "A"})}
            if method != "GET"
            else {}
        )
        answer = await platform.client().request(method, filled(path, instance), headers=headers, **body)
        assert answer.status_code == 401, (method, path)
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_every_tenants_table_is_behind_row_level_security(platform: Platform) -> None:
    """INVARIANT: Postgres row-level security stands behind the repositories."""
    rows = await platform.rows(
        """
        SELECT c.relname, c.relrowsecurity, count(p.polname) AS policies FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_policy p ON p.polrelid = c.oid
        WHERE n.nspname = 'api' AND c.relkind = 'r' GROUP BY 1, 2
        """
    )
    open_tables = {row.relname for row in rows if not (row.relrowsecurity and row.policies)}
    assert open_tables <= NOT_TENANTS, open_tables - NOT_TENANTS


async def test_the_web_role_sees_nothing_without_an_account_and_only_its_own_with_one(
    platform: Platform, tenant: Tenant
) -> None:
    """INVARIANT: a tenant is a wall, even for SQL that forgot the account."""
    instance = await tenant.create()
    other = await platform.tenant()
    for account, expected in ((None, 0), (other.id, 0), (tenant.id, 1)):
        async with platform.database.web_transaction(account) as unit:
            assert await unit.session.scalar(text("SELECT count(*) FROM instances")) == expected
    update = text("UPDATE instances SET name = 'stolen' WHERE id = :id")
    async with platform.database.web_transaction(other.id) as unit:
        await unit.session.execute(update, {"id": id_of(instance)})
    assert (await tenant.get(f"/v1/instances/{instance['id']}"))["name"] == "My agent"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM api_keys",
        "SELECT * FROM outbox",
        "SELECT * FROM audit_log",
        "UPDATE accounts SET max_instances = 99",
        "UPDATE accounts SET role = 'admin'",
        "DELETE FROM instances",
        "UPDATE audit_log SET action = 'nothing'",
        "SELECT * FROM parked_events",
    ],
)
async def test_the_web_role_may_do_only_what_requests_need(platform: Platform, statement: str) -> None:
    with pytest.raises(PostgresError, match="permission denied"):
        async with platform.database.web_transaction(platform.admin.id) as unit:
            await unit.session.execute(text(statement))


async def test_migrations_and_models_agree(platform: Platform) -> None:
    assert await differences(platform.settings.database_url.get_secret_value(), schema="api", metadata=metadata) == []


@pytest.fixture
async def second_start(platform: Platform, database: Database) -> AsyncGenerator[Platform]:
    again = Platform(settings_for(database, bootstrap_api_key="claw_" + "c" * 43))
    await again.gateway.bootstrap.ensure()
    await again.gateway.bootstrap.ensure()
    yield again
    await again.stop()


async def test_a_changed_bootstrap_key_replaces_the_old_one(platform: Platform, second_start: Platform) -> None:
    new = await second_start.client("claw_" + "c" * 43).get("/v1/me")
    old = await second_start.client(platform.admin.key).get("/v1/me")
    assert (new.json()["id"], new.json()["role"], old.status_code) == (str(platform.admin.id), "admin", 401)
    created = await platform.rows("SELECT * FROM outbox WHERE type = 'account.created.v1'")
    assert [row.key for row in created] == [platform.admin.id]


async def test_an_external_id_is_unique(platform: Platform) -> None:
    body = {"name": "A", "external_id": "crm-1"}
    first = await platform.admin.http.post("/v1/accounts", json=body)
    second = await platform.admin.http.post("/v1/accounts", json=body)
    assert (first.status_code, second.status_code, second.json()["code"]) == (201, 409, "external-id-taken")


async def test_operators_see_every_accounts_instances(platform: Platform, tenant: Tenant) -> None:
    instance = await tenant.create()
    found = await platform.admin.get(f"/v1/accounts/{tenant.id}/instances")
    assert [item["id"] for item in found["items"]] == [instance["id"]]
    accounts = await platform.admin.get("/v1/accounts", limit=1)
    rest = await platform.admin.get("/v1/accounts", cursor=accounts["next_cursor"])
    assert {item["id"] for item in accounts["items"] + rest["items"]} == {str(platform.admin.id), str(tenant.id)}


@pytest.mark.parametrize("found", [found for found in OPERATIONS if found[3] == AGENTS], ids=lambda found: found[2])
async def test_an_agents_route_asks_for_the_agents_secret(
    platform: Platform, found: tuple[str, str, str, list[str]]
) -> None:
    method, path, name, _ = found
    answer = await platform.client().request(method, path.replace("{configuration_id}", "x"), json={})
    expected = (503, "service-unavailable") if name == "agent_program" else (401, "agent-unknown")
    assert (answer.status_code, answer.json()["code"]) == expected

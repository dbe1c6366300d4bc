"""Secrets are write-only (law 10), a tenant is a wall (law 11), and migrations say what the models say."""

import base64
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

import pytest
from tests.integration.provisioner.conftest import Instance, Platform

from clawdeploy_common import sealing
from clawdeploy_common.http import ASGITransport, AsyncClient
from clawdeploy_common.ids import new_id
from clawdeploy_common.migrating import differences
from clawdeploy_common.tokens import InternalTokens
from clawdeploy_events.deployments import SecretReference
from clawdeploy_provisioner.models import metadata
from clawdeploy_provisioner.providers.protocol import ProviderUnavailable

BOT_TOKEN = "987654321:AAG-planted_bot_token_planted_bot_token"  # pragma: allowlist secret
OWN_KEY = "planted own key that looks like no credential at all"
ROUTES = [
    ("GET", "/internal/instances/{instance}/logs"),
    ("GET", "/internal/instances/{instance}/logs/stream"),
    ("POST", "/internal/instances/{instance}/chat/completions"),
    ("GET", "/internal/instances/{instance}/probe"),
    ("GET", "/internal/operations/{operation}/logs"),
]


async def sealing_key(platform: Platform) -> tuple[UUID, bytes]:
    """The announced key: its id and its public half."""
    await platform.until("SELECT count(*) FROM sealing_keys", 1)
    (row,) = await platform.rows("SELECT id FROM sealing_keys")
    announced = await platform.until_told(row.id, "sealing_key.announced.v1")
    return row.id, base64.b64decode(announced["public_key"])


async def with_secrets(platform: Platform, *, version: int = 1, info: bytes | None = None) -> Instance:
    """Deploy an instance that has a bot token and a key of its own."""
    key_id, public_key = await sealing_key(platform)
    instance = Instance(id=new_id(), account_id=new_id(), deployment_id=new_id())
    for name, plaintext in (("bot_token", BOT_TOKEN), ("api_key.openrouter", OWN_KEY)):
        platform.gateway.put(
            plaintext, at=(instance.id, name, version), public_key=public_key, key_id=key_id, info=info
        )
    references = [SecretReference(name=name, version=version) for name in ("bot_token", "api_key.openrouter")]
    await platform.request_deployment(instance, llm_key="own", secrets=references)
    return instance


async def everything_kept(platform: Platform) -> str:
    """Every row of every table in clear, as text."""
    tables = await platform.rows(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
    )
    rows = [await platform.rows(f"SELECT t.*::text FROM {table.table_name} t") for table in tables]  # noqa: S608 - our own tables
    outbox = await platform.rows("SELECT convert_from(data, 'UTF8') FROM outbox")
    return str(rows) + str(outbox)


async def test_an_instance_with_its_own_key_gets_none_minted_and_its_secrets_in_its_environment(
    platform: Platform,
) -> None:
    instance = await with_secrets(platform)
    await platform.done(instance.deployment_id)
    assert await platform.keys() == []
    environment = platform.provider.bundles[await platform.server_id(instance)].environment
    assert {BOT_TOKEN, OWN_KEY} <= set(environment.values())


async def test_planted_secrets_are_in_no_event_no_row_no_log_and_no_output(
    platform: Platform, capfd: pytest.CaptureFixture[str]
) -> None:
    """INVARIANT: secrets are written and used, never shown; not even by a provider that puts them in its errors."""
    platform.moments.fail("before write_configuration", ProviderUnavailable(f"cannot write {OWN_KEY}", retry_after=0.1))
    instance = await with_secrets(platform)
    await platform.done(instance.deployment_id)
    assert "cannot write [redacted]. Trying again in 0 s." in await platform.output(instance.deployment_id)
    shown = await everything_kept(platform) + "".join(capfd.readouterr())
    assert OWN_KEY not in shown
    assert BOT_TOKEN not in shown


async def test_a_minted_key_is_in_no_event_no_row_and_no_log(
    platform: Platform, capfd: pytest.CaptureFixture[str]
) -> None:
    instance = await platform.deployed()
    (secret,) = platform.provider.bundles[await platform.server_id(instance)].environment.values()
    assert secret.startswith("sk-or-")
    assert secret not in await everything_kept(platform) + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "info",
    [sealing.secret_info(instance_id=UUID(int=1), name="bot_token", version=1), b"clawdeploy/secret/v1"],
    ids=["another instance's", "nobody's"],
)
async def test_a_secret_sealed_for_another_place_does_not_open(platform: Platform, info: bytes) -> None:
    """INVARIANT: a ciphertext is bound to its instance, name and version."""
    instance = await with_secrets(platform, info=info)
    row = await platform.ended(instance.deployment_id)
    assert (row.state, row.error_step) == ("failed", "write_configuration")
    assert (await platform.provider.list_servers()).servers == []


async def test_secrets_are_fetched_once_and_erased_with_the_instance(platform: Platform) -> None:
    instance = await with_secrets(platform)
    await platform.done(instance.deployment_id)
    assert len(platform.gateway.asked) == 3
    assert len(await platform.rows("SELECT 1 FROM secret_copies")) == 2
    await platform.done(await platform.destroy(instance))
    assert await platform.rows("SELECT 1 FROM secret_copies UNION ALL SELECT 1 FROM config_copies") == []


async def test_a_gateway_that_is_away_is_waited_for(platform: Platform) -> None:
    platform.gateway.status = 503
    instance = await with_secrets(platform)
    await platform.until("SELECT attempts >= 1 FROM operation_steps WHERE name = 'write_configuration'", True)
    while not any("again" in line for line in await platform.output(instance.deployment_id)):
        await platform.rounds(1)
    platform.gateway.status = 200
    await platform.done(instance.deployment_id)


class Visitor:
    """Somebody with internal tokens of a kind."""

    def __init__(self, platform: Platform) -> None:
        self._http = AsyncClient(transport=ASGITransport(platform.app), base_url="http://provisioner")
        self._tokens = InternalTokens(platform.service.settings.internal_secret, service="api")

    async def ask(self, method: str, path: str, *, audience: str = "provisioner", **claims: Any) -> int:
        """The status of an answer."""
        headers = {"Authorization": f"Bearer {self._tokens.issue(audience, **claims)}"}
        body = {"messages": [{"role": "user", "content": "hello"}]} if method == "POST" else None
        return (await self._http.request(method, path, headers=headers, json=body)).status_code

    async def ask_unknown(self, method: str, path: str) -> int:
        """The status of an answer to nobody."""
        return (await self._http.request(method, path, json={})).status_code

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()


@pytest.fixture
async def visitor(platform: Platform) -> AsyncGenerator[Visitor]:
    """A caller of the platform's internal routes."""
    visitor = Visitor(platform)
    yield visitor
    await visitor.close()


@pytest.mark.parametrize(("method", "route"), ROUTES)
async def test_a_foreign_account_meets_the_wall(platform: Platform, visitor: Visitor, method: str, route: str) -> None:
    """INVARIANT: what belongs to somebody else reads as what is not there."""
    instance = await platform.deployed()
    path = route.format(instance=instance.id, operation=instance.deployment_id)
    assert await visitor.ask(method, path, account_id=new_id()) == 404
    assert await visitor.ask(method, path) == 404  # for no account at all
    assert await visitor.ask(method, path, account_id=instance.account_id, audience="billing") == 401
    assert await visitor.ask_unknown(method, path) == 401
    if not route.endswith("stream"):
        assert await visitor.ask(method, path, account_id=instance.account_id) == 200


async def test_of_a_server_that_is_gone_the_logs_that_operations_kept_are_left(
    platform: Platform, visitor: Visitor
) -> None:
    instance = await platform.deployed()
    platform.provider.vanish(await platform.server_id(instance))
    path = f"/internal/instances/{instance.id}/logs"
    assert await visitor.ask("GET", path, account_id=instance.account_id) == 200
    await platform.until_told(instance.id, "server.state_changed.v1")
    assert await visitor.ask("GET", f"{path}/stream", account_id=instance.account_id) == 409


@pytest.mark.parametrize("path", ["/internal/operator/servers", "/internal/operator/debts"])
async def test_operators_routes_are_for_operators(platform: Platform, visitor: Visitor, path: str) -> None:
    assert await visitor.ask("GET", path, account_id=new_id()) == 403
    assert await visitor.ask("GET", path, operator=True) == 200
    assert await visitor.ask_unknown("GET", path) == 401


async def test_migrations_and_models_agree(platform: Platform) -> None:
    assert (
        await differences(
            platform.service.settings.database_url.get_secret_value(), schema="provisioner", metadata=metadata
        )
        == []
    )

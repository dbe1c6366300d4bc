"""On-server agents: who may speak for a server, what it hears, and what is kept of its secrets."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from httpx import Response
from sqlalchemy import text
from tests.engines.databases import Database
from tests.integration.provisioner.conftest import Instance, Platform, provisioner

from clawdeploy_common.http import ASGITransport, AsyncClient
from clawdeploy_common.ids import new_id
from clawdeploy_common.tokens import InternalTokens
from clawdeploy_provisioner.on_server.messages import AgentConfigurationContent, Heard
from clawdeploy_provisioner.on_server.registry import AgentRegistry, AgentRevoked
from clawdeploy_provisioner.on_server.waiting import WaitingAgents

SECRET = "sk-or-v1-kept-from-everybody"  # pragma: allowlist secret
CONTENT = AgentConfigurationContent(
    version=1, document={"gateway": {"port": 18789}}, environment={"LLM_API_KEY": SECRET}
)
HEARTBEAT: dict[str, Any] = {
    "openclaw_version": "2026.9.6",
    "cpu_percent": 1.5,
    "memory_total_bytes": 4_000_000_000,
    "memory_used_bytes": 1_000_000_000,
    "disk_total_bytes": 40_000_000_000,
    "disk_free_bytes": 30_000_000_000,
    "gateway": {"state": "stopped", "generation": 0},
}
HAS_A_BOT = text(
    """UPDATE instances SET deployment = deployment || '{"secrets": [{"name": "bot_token", "version": 1}]}'"""
)
IS_RENTED = text("UPDATE servers SET port = NULL, state = 'running'")


class Enrolled:
    """A server whose agent is expected, and the calls that agent makes."""

    def __init__(self, platform: Platform, instance: Instance, server_id: UUID, registry: AgentRegistry) -> None:
        self.platform = platform
        self.instance = instance
        self.server_id = server_id
        self.registry = registry

    async def token(self) -> str:
        """A new registration token."""
        instance = self.instance
        enrolment = await self.registry.expect(
            self.server_id, instance_id=instance.id, account_id=instance.account_id, ssh_key=b"a private key"
        )
        return enrolment.token

    async def call(self, method: str, path: str, secret: str, body: Any = None) -> Response:
        """As the gateway forwards it."""
        service = self.platform.service
        pass_ = InternalTokens(service.settings.internal_secret, service="api").issue("provisioner")
        headers = {"Authorization": f"Bearer {pass_}", "X-Agent-Secret": secret}
        transport = ASGITransport(self.platform.app)
        async with AsyncClient(transport=transport, base_url="http://provisioner") as http:
            return await http.request(method, f"/internal/agent/{path}", headers=headers, json=body)

    async def registered(self) -> str:
        """The credential of an agent that has reported once."""
        answer = await self.call("POST", "register", await self.token())
        credential: str = answer.json()["credential"]
        assert (await self.call("POST", "heartbeat", credential, HEARTBEAT)).status_code == 200
        return credential


@pytest.fixture
async def enrolled(platform: Platform) -> Enrolled:
    return await enrolled_at(platform)


async def enrolled_at(platform: Platform) -> Enrolled:
    """An agent that is expected on a new server."""
    instance = await platform.deployed()
    registry = AgentRegistry(platform.service.database, platform.secrets)
    return Enrolled(platform, instance, await platform.server_id(instance), registry)


async def test_a_token_serves_until_the_first_heartbeat_and_never_again(enrolled: Enrolled) -> None:
    """INVARIANT: a registration token makes one agent; a registration whose answer was lost may be repeated."""
    token = await enrolled.token()
    lost = await enrolled.call("POST", "register", token)
    again = await enrolled.call("POST", "register", token)
    assert (lost.status_code, again.status_code) == (201, 201)
    assert (await enrolled.call("POST", "heartbeat", lost.json()["credential"], HEARTBEAT)).status_code == 404
    assert (await enrolled.call("POST", "heartbeat", again.json()["credential"], HEARTBEAT)).status_code == 200
    refused = await enrolled.call("POST", "register", token)
    assert (refused.status_code, refused.json()["code"]) == (404, "agent-unknown")


async def test_every_token_of_a_server_ends_with_its_first_heartbeat(enrolled: Enrolled) -> None:
    earlier = await enrolled.token()
    await enrolled.registered()
    assert (await enrolled.call("POST", "register", earlier)).status_code == 404


async def test_an_agent_hears_of_a_configuration_fetches_it_and_says_what_became_of_it(enrolled: Enrolled) -> None:
    credential = await enrolled.registered()
    assert (await enrolled.call("GET", "configuration", credential)).json()["code"] == "no-configuration"
    published = await enrolled.registry.publish(enrolled.server_id, CONTENT)
    assert await enrolled.registry.publish(enrolled.server_id, CONTENT) == published
    heard = (await enrolled.call("POST", "heartbeat", credential, HEARTBEAT)).json()
    assert heard["configuration_id"] == str(published)
    fetched = (await enrolled.call("GET", "configuration", credential)).json()
    sections = ["env", "gateway", "plugins"]
    assert fetched == {"id": str(published), **CONTENT.model_dump(), "restart_sections": sections}
    result = {"result": "rejected", "issues": ["gateway.port: expected number"]}
    path = f"configuration/{published}/result"
    assert (await enrolled.call("POST", path, credential, result)).status_code == 204
    assert await enrolled.registry.result(published) == ("rejected", result["issues"])
    assert (await enrolled.call("POST", f"configuration/{new_id()}/result", credential, result)).status_code == 404


BLOCKED = {"running": False, "lifecycle": "blocked", "lastError": "getMe returned 401"}
CONNECTED = {"running": True, "connected": True, "lifecycle": "ready", "lastError": None}


@pytest.mark.parametrize(
    ("account", "channel"), [(CONNECTED, ("ready", None)), (BLOCKED, ("failing", "getMe returned 401"))]
)
async def test_a_channel_on_a_rented_server_is_judged_by_what_its_agent_told(
    database: Database, tmp_path: Path, account: dict[str, Any], channel: tuple[str, str | None]
) -> None:
    async with provisioner(database, tmp_path, inventory_seconds=600) as platform:
        enrolled = await enrolled_at(platform)
        credential = await enrolled.registered()
        told = {**HEARTBEAT, "channel_accounts": {"telegram": [account]}}
        assert (await enrolled.call("POST", "heartbeat", credential, told)).status_code == 200
        async with platform.service.database.transaction() as unit:
            await unit.session.execute(HAS_A_BOT)
            await unit.session.execute(IS_RENTED)
        instance = enrolled.instance
        pass_ = platform.service.tokens.issue("provisioner", account_id=instance.account_id)
        async with AsyncClient(transport=ASGITransport(platform.app), base_url="http://provisioner") as http:
            path, headers = f"/internal/instances/{instance.id}/probe", {"Authorization": f"Bearer {pass_}"}
            probe = (await http.get(path, headers=headers)).json()
        assert (probe["channel"], probe["channel_detail"]) == channel


async def test_a_wish_has_a_generation_so_that_an_old_report_is_no_answer(enrolled: Enrolled) -> None:
    credential = await enrolled.registered()
    await enrolled.registry.want(enrolled.server_id, "running")
    await enrolled.registry.want(enrolled.server_id, "running")
    heard = (await enrolled.call("POST", "heartbeat", credential, HEARTBEAT)).json()
    assert heard["gateway"] == {"wanted": "running", "generation": 1}
    view = await enrolled.registry.view(enrolled.server_id)
    assert view is not None
    assert view.state is None
    done = {**HEARTBEAT, "gateway": {"state": "ready", "generation": 1}}
    await enrolled.call("POST", "heartbeat", credential, done)
    view = await enrolled.registry.view(enrolled.server_id)
    assert view is not None
    assert view.state == "ready"


async def test_an_agent_at_rest_is_answered_when_something_else_is_wanted(enrolled: Enrolled) -> None:
    credential = await enrolled.registered()
    heard = {"wanted": "stopped", "generation": 0, "configuration_id": None}
    asking = asyncio.create_task(enrolled.call("POST", "heartbeat", credential, {**HEARTBEAT, "heard": heard}))
    assert await asyncio.wait({asking}, timeout=1) == (set(), {asking})
    published = await enrolled.registry.publish(enrolled.server_id, CONTENT)
    answer = (await asking).json()
    assert answer["configuration_id"] == str(published)
    assert answer["heartbeat_seconds"] < 1
    assert (await enrolled.call("POST", "heartbeat", credential, {**HEARTBEAT, "heard": heard})).json() == {
        **answer,
        "heartbeat_seconds": 30,
    }


async def test_who_waits_is_let_go_when_the_service_stops_and_nobody_waits_where_there_is_no_room(
    enrolled: Enrolled,
) -> None:
    """INVARIANT: what an agent costs while it waits is bounded, and no stop of ours waits for an agent."""
    database, stopping = enrolled.platform.service.database, asyncio.Event()
    heard = Heard(wanted="stopped", generation=0, configuration_id=None)
    assert not await WaitingAgents(database, stopping, most=0).wait(enrolled.server_id, heard)
    waiting = WaitingAgents(database, stopping, seconds=600)
    loop, asking = asyncio.create_task(waiting.run()), asyncio.create_task(waiting.wait(enrolled.server_id, heard))
    await asyncio.sleep(0)
    stopping.set()
    assert await asking
    assert not await waiting.wait(enrolled.server_id, heard)
    loop.cancel()
    await asyncio.wait({loop})


async def test_a_revoked_agent_is_not_believed(enrolled: Enrolled) -> None:
    credential = await enrolled.registered()
    await enrolled.registry.publish(enrolled.server_id, CONTENT)
    await enrolled.registry.revoke(enrolled.server_id)
    for method, path, body in [("POST", "heartbeat", HEARTBEAT), ("GET", "configuration", None)]:
        assert (await enrolled.call(method, path, credential, body)).json()["code"] == "agent-unknown"
    with pytest.raises(AgentRevoked):
        await enrolled.token()


async def test_tokens_credentials_and_configurations_are_not_readable_in_the_database(enrolled: Enrolled) -> None:
    """INVARIANT: what an agent knows is kept hashed, what it is given is kept encrypted."""
    token, credential = await enrolled.token(), await enrolled.registered()
    await enrolled.registry.publish(enrolled.server_id, CONTENT)
    for table in ("server_agents", "agent_tokens", "agent_configurations"):
        stored = str(await enrolled.platform.rows(f"SELECT {table}::text FROM {table}"))  # noqa: S608 - constants
        for secret in (token, credential, SECRET, "a private key"):
            assert secret not in stored
            assert secret.encode().hex() not in stored

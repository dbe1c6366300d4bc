"""The ``hetzner`` provider on a stand-in of Hetzner Cloud whose hollow servers play the on-server agent's part."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncBaseTransport, Request, Response
from tests.engines.databases import Database
from tests.integration.provisioner.conftest import Instance, Platform, openrouter_in, settings_for
from tests.integration.provisioner.gateway import Gateway
from tests.light.moments import Moments
from tests.light.provider import LightProvider

from clawdeploy_common.http import ASGITransport, AsyncClient
from clawdeploy_common.tokens import InternalTokens
from clawdeploy_emulators.cloud.hollow_agent import agent_player
from clawdeploy_emulators.cloud.machines import HollowMachine
from clawdeploy_emulators.hetzner import HetznerSettings, create_hetzner
from clawdeploy_provisioner.main import build

TOKEN = "t" * 64
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PLAN = {"provider": "hetzner", "region": "nbg1", "cpu_millis": 1000}


class ThroughTheGateway(AsyncBaseTransport):
    """What the gateway does for an agent: the same call with an internal token, the agent's secret beside it."""

    inner: ASGITransport
    tokens: InternalTokens

    async def handle_async_request(self, request: Request) -> Response:
        secret = request.headers["authorization"].removeprefix("Bearer ")
        request.headers["x-agent-secret"] = secret
        request.headers["authorization"] = f"Bearer {self.tokens.issue('provisioner')}"
        request.url = request.url.copy_with(path=request.url.path.replace("/v1/agent/", "/internal/agent/"))
        return await self.inner.handle_async_request(request)


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """A provisioner with a Hetzner account."""

    platform: Platform
    http: AsyncClient

    async def names(self, kind: str) -> list[str]:
        """What is in the account."""
        answer = await self.http.get(f"/v1/{kind}", headers=BEARER)
        return [item["name"] for item in answer.json()[kind]]

    async def everything(self) -> list[str]:
        return [name for kind in ("servers", "ssh_keys", "firewalls") for name in await self.names(kind)]

    async def fault(self, **fault: Any) -> None:
        answer = await self.http.put("/_emulator/faults", json=[fault], headers=BEARER)
        assert answer.status_code < 300, answer.text

    async def destroyed(self, instance: Instance) -> None:
        await self.platform.done(await self.platform.destroy(instance))


@pytest.fixture
async def cloud(database: Database, tmp_path: Path) -> AsyncGenerator[Cloud]:
    relay = ThroughTheGateway()
    script = agent_player(tmp_path / "disks", transport=relay)
    hetzner = create_hetzner(
        HetznerSettings(
            state_file=tmp_path / "hetzner.sqlite",
            token=TOKEN,
            action_seconds=0.2,
            machine=lambda server_id: HollowMachine(server_id, script=script),
        )
    )
    gateway, openrouter = Gateway(), openrouter_in(tmp_path)
    mounts = {
        "http://openrouter": ASGITransport(openrouter),
        "http://api": ASGITransport(gateway.app),
        "http://hetzner": ASGITransport(hetzner),
    }
    settings = settings_for(
        database,
        providers="",
        clouds="hetzner",
        HETZNER_API_TOKEN=TOKEN,
        hetzner_base_url="http://hetzner/v1",
        cloud_visibility_seconds=0,
        agent_busy_heartbeat_seconds=0.1,
        provider_call_seconds=30,
    )
    service, app = build(settings, http=AsyncClient(mounts=mounts))
    relay.inner, relay.tokens = ASGITransport(app), InternalTokens(settings.internal_secret, service="api")
    outside = AsyncClient(transport=ASGITransport(openrouter), base_url="http://openrouter")
    account = AsyncClient(transport=ASGITransport(hetzner), base_url="http://hetzner")
    async with hetzner.router.lifespan_context(hetzner), app.router.lifespan_context(app), outside, account:
        while not service.migrated:
            await asyncio.sleep(0.02)
        light = LightProvider(tmp_path / "none")
        yield Cloud(platform=Platform(service, app, light, outside, moments=Moments(), gateway=gateway), http=account)


async def test_a_deployment_runs_by_its_agents_word_and_leaves_the_account_as_it_was(cloud: Cloud) -> None:
    """INVARIANT: after a destroy nothing of it is left at the provider: no server, no key, no firewall."""
    instance = await cloud.platform.deployed(**PLAN)
    server_id = await cloud.platform.server_id(instance)
    assert await cloud.everything() == [f"clawdeploy-{server_id}"] * 3
    (started,) = [data for name, data in await cloud.platform.events(instance.id) if name == "instance.started.v1"]
    assert started["probe_url"] is None
    await cloud.destroyed(instance)
    assert await cloud.everything() == []
    assert await cloud.platform.rows("SELECT 1 FROM agent_configurations") == []


async def test_a_create_whose_answer_is_lost_makes_one_server(cloud: Cloud) -> None:
    """INVARIANT: an ambiguous outcome is resolved by looking up the label, never by blindly repeating."""
    await cloud.fault(kind="timeout_after", method="POST", path_prefix="/v1/servers", seconds=0.2)
    instance = await cloud.platform.deployed(**PLAN)
    assert len(await cloud.names("servers")) == 1
    await cloud.destroyed(instance)
    assert await cloud.everything() == []

"""The ``ovh`` provider on a stand-in of OVHcloud whose hollow VPS are set up over SSH and then play the on-server agent's part."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncBaseTransport, ReadTimeout, Request, Response
from tests.contracts.clouds import APPLICATION, BEARER, CONSUMER, TOKEN, OvhSignature, ovh_settings
from tests.contracts.conftest import Clock
from tests.engines.databases import Database
from tests.engines.ports import free_ports
from tests.integration.provisioner.conftest import Instance, Platform, deployment_plan, openrouter_in, settings_for
from tests.integration.provisioner.gateway import Gateway
from tests.light.moments import Moments
from tests.light.provider import LightProvider
from tests.light.through_the_gateway import ThroughTheGateway

from clawdeploy_common.clock import utc_now
from clawdeploy_common.http import ASGITransport, AsyncClient
from clawdeploy_common.ids import new_id
from clawdeploy_common.tokens import InternalTokens
from clawdeploy_emulators.cloud.hollow_agent import AgentPlayer
from clawdeploy_emulators.cloud.hollow_ssh import SshMachine
from clawdeploy_emulators.ovh import create_ovh
from clawdeploy_events.deployments import InstanceRedeployRequested
from clawdeploy_provisioner.main import build

PLAN: dict[str, Any] = {"provider": "ovh", "region": "GRA", "cpu_millis": 1000}


class LosesAnswers(AsyncBaseTransport):
    """The way to OVH; ``lost`` is how many checkouts are carried out from now on without an answer."""

    def __init__(self, inner: ASGITransport) -> None:
        self._inner = inner
        self.lost = 0

    async def handle_async_request(self, request: Request) -> Response:
        response = await self._inner.handle_async_request(request)
        if self.lost and request.method == "POST" and request.url.path.endswith("/checkout"):
            self.lost -= 1
            raise ReadTimeout("the answer is lost")
        return response


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """A provisioner with an OVH account."""

    platform: Platform
    http: AsyncClient
    line: LosesAnswers
    machines: Path

    async def services(self) -> list[dict[str, Any]]:
        """The VPS of the account, as OVH's tags show them."""
        return list((await self.http.get("/v2/iam/resource?resourceType=vps")).json())

    async def orders(self) -> list[int]:
        return list((await self.http.get("/1.0/me/order")).json())

    async def renewal(self, name: str) -> dict[str, Any]:
        return dict((await self.http.get(f"/1.0/vps/{name}/serviceInfos")).json()["renew"])

    async def told(self, event_type: str) -> list[dict[str, Any]]:
        """Payloads of one event type, in order."""
        query = "SELECT data FROM outbox WHERE type = :type ORDER BY id"
        return [json.loads(row.data) for row in await self.platform.rows(query, type=event_type)]

    async def surveyed(self) -> dict[str, Any]:
        """The account as an operator sees it."""
        return await self.asks("providers/ovh")

    async def asks(self, path: str) -> dict[str, Any]:
        """A route for operators."""
        token = self.platform.service.tokens.issue("provisioner", operator=True)
        async with AsyncClient(transport=ASGITransport(self.platform.app), base_url="http://provisioner") as inside:
            headers = {"Authorization": f"Bearer {token}"}
            answer = await inside.get(f"/internal/operator/{path}", headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def deployed(self) -> Instance:
        instance = await self.platform.deploy(**PLAN)
        row = await self.platform.ended(instance.deployment_id, seconds=120)
        assert (row.state, row.error) == ("succeeded", None)
        return instance

    async def destroyed(self, instance: Instance) -> None:
        row = await self.platform.ended(await self.platform.destroy(instance), seconds=120)
        assert (row.state, row.error) == ("succeeded", None)


@pytest.fixture(params=["eu", "us"])
async def cloud(database: Database, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncGenerator[Cloud]:
    relay = ThroughTheGateway()
    script = AgentPlayer(tmp_path / "disks", transport=relay)
    [port] = free_ports(1)

    def machine(name: str) -> SshMachine:
        return SshMachine(tmp_path / "machines" / name, script=script, port=port)

    ovh = create_ovh(
        ovh_settings(
            tmp_path / "ovh.sqlite",
            action_seconds=0.2,
            delivery_seconds=0.5,
            activation_seconds=0.2,
            region=request.param,
            machine=machine,
        )
    )
    gateway, openrouter, line = Gateway(), openrouter_in(tmp_path), LosesAnswers(ASGITransport(ovh))
    mounts = {
        "http://openrouter": ASGITransport(openrouter),
        "http://api": ASGITransport(gateway.app),
        "http://ovh": line,
    }
    settings = settings_for(
        database,
        providers="",
        clouds="ovh",
        OVH_APPLICATION_KEY=APPLICATION,
        OVH_APPLICATION_SECRET=TOKEN,
        OVH_CONSUMER_KEY=CONSUMER,
        ovh_base_url="http://ovh/1.0",
        ovh_ssh_port=port,
        cloud_visibility_seconds=0,
        agent_busy_heartbeat_seconds=0.1,
        agent_heartbeat_seconds=0.5,
        provider_call_seconds=30,
    )
    service, app = build(settings, http=AsyncClient(mounts=mounts))
    relay.inner, relay.tokens = ASGITransport(app), InternalTokens(settings.internal_secret, service="api")
    outside = AsyncClient(transport=ASGITransport(openrouter), base_url="http://openrouter")
    account = AsyncClient(transport=ASGITransport(ovh), base_url="http://ovh", auth=OvhSignature(Clock(utc_now())))
    async with ovh.router.lifespan_context(ovh), app.router.lifespan_context(app), outside, account:
        while not service.migrated:
            await asyncio.sleep(0.02)
        light = LightProvider(tmp_path / "none")
        platform = Platform(service, app, light, outside, moments=Moments(), gateway=gateway)
        yield Cloud(platform=platform, http=account, line=line, machines=tmp_path / "machines")


async def test_a_vps_is_ordered_installed_over_ssh_and_ends_with_its_month(cloud: Cloud) -> None:
    """INVARIANT: one order per server; after a destroy its contract is ended, its disk is wiped, and it is no server of ours."""
    instance = await cloud.deployed()
    server_id = await cloud.platform.server_id(instance)
    (service,) = await cloud.services()
    assert service["tags"]["clawdeploy.server"] == str(server_id)
    assert not (await cloud.renewal(service["name"]))["deleteAtExpiration"]
    said = await cloud.platform.output(instance.deployment_id)
    assert "Installing Debian 12 with the deployment's key" in said
    (row,) = await cloud.platform.rows("SELECT provider_ref, host FROM servers WHERE id = :id", id=server_id)
    assert [int(row.provider_ref)] == await cloud.orders()
    assert row.host.startswith("127.66.")
    await cloud.destroyed(instance)
    (ended,) = await cloud.services()
    assert (await cloud.renewal(ended["name"]))["deleteAtExpiration"]
    (order,) = await cloud.platform.rows("SELECT ends_at, wiped_at FROM ovh_orders")
    assert order.wiped_at is not None
    assert ended["tags"]["clawdeploy.ends"] == order.ends_at.date().isoformat()
    assert await cloud.platform.rows("SELECT 1 FROM cleanup_debts UNION ALL SELECT 1 FROM orphans") == []
    (told,) = await cloud.told("server.destroyed.v1")
    assert (datetime.fromisoformat(told["paid_until"]), told["refunded"]) == (order.ends_at, False)
    (shown,) = (await cloud.asks("servers"))["items"]
    assert shown["state"] == "terminating"
    assert datetime.fromisoformat(shown["paid_until"]) == order.ends_at > datetime.fromisoformat(shown["destroyed_at"])


@pytest.mark.parametrize("cloud", ["eu"], indirect=True)
async def test_an_order_that_ovh_cancels_is_told_as_paid_back(cloud: Cloud) -> None:
    fault = {"kind": "action_error", "method": "POST", "path_prefix": "/1.0/order/cart/*/checkout"}
    (await cloud.http.put("/_emulator/faults", json=[fault], headers=BEARER)).raise_for_status()
    instance = await cloud.platform.deploy(**PLAN)
    row = await cloud.platform.ended(instance.deployment_id, seconds=120)
    assert row.state == "failed"
    assert "OVH has cancelled order" in row.error
    (created,) = await cloud.told("server.created.v1")
    (destroyed,) = await cloud.told("server.destroyed.v1")
    assert destroyed["server_id"] == created["server_id"]
    assert (destroyed["paid_until"], destroyed["refunded"]) == (None, True)


@pytest.mark.parametrize("cloud", ["eu"], indirect=True)
async def test_a_checkout_whose_answer_is_lost_buys_one_vps(cloud: Cloud) -> None:
    """INVARIANT: an ambiguous checkout is looked for, never repeated."""
    cloud.line.lost = 1
    instance = await cloud.deployed()
    assert cloud.line.lost == 0
    assert len(await cloud.orders()) == len(await cloud.services()) == 1
    await cloud.destroyed(instance)


@pytest.mark.parametrize("cloud", ["eu"], indirect=True)
async def test_a_redeployment_in_place_installs_the_vps_anew(cloud: Cloud) -> None:
    """INVARIANT: nothing is bought; the new system shows a new host key, which is pinned, a new agent registers, and what the old one
    knew is there when it was to be kept.
    """
    instance = await cloud.deployed()
    server_id = await cloud.platform.server_id(instance)
    agent = "SELECT host_key, credential_hash FROM server_agents WHERE id = :id"
    (before,) = await cloud.platform.rows(agent, id=server_id)
    [machine] = cloud.machines.iterdir()
    notes = machine / "root/var/lib/openclaw/.openclaw/workspace/notes"
    notes.parent.mkdir(parents=True)
    notes.write_text("what it knew")
    operation_id = new_id()
    deployment = deployment_plan(operation_id, **PLAN)
    redeploy = InstanceRedeployRequested(
        operation_id=operation_id, deployment=deployment, in_place=True, keep_state=True
    )
    await cloud.platform.send(redeploy, key=instance.id, account_id=instance.account_id)
    row = await cloud.platform.ended(operation_id, seconds=120)
    assert (row.state, row.error) == ("succeeded", None)
    (after,) = await cloud.platform.rows(agent, id=server_id)
    assert notes.read_text() == "what it knew"
    assert after.host_key not in (None, before.host_key)
    assert after.credential_hash not in (None, before.credential_hash)
    seen = await cloud.surveyed()
    assert seen["account"]["name"] == "xx1111-ovh"
    (server,) = seen["servers"]
    assert server["host"].startswith("127.66.")
    assert f"clawdeploy.server={server_id}" in server["labels"]
    assert "GRA" in {each["id"] for each in seen["regions"]}
    assert {each["name"] for each in seen["images"]} >= {"Debian 12"}
    assert all(size["disk_gb"] and float(size["monthly"]) for size in seen["sizes"])
    assert await cloud.platform.server_id(instance) == server_id
    assert len(await cloud.orders()) == len(await cloud.services()) == 1
    await cloud.destroyed(instance)

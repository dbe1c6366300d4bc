"""A provisioner with an account at an emulated cloud, whose hollow servers play the on-server agent's part."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from tests.engines.databases import Database
from tests.integration.provisioner.conftest import Instance, Platform, deployment_plan, openrouter_in, settings_for
from tests.integration.provisioner.gateway import Gateway
from tests.light.moments import Moments
from tests.light.provider import LightProvider
from tests.light.through_the_gateway import ThroughTheGateway

from clawdeploy_common.http import ASGITransport, AsyncClient
from clawdeploy_common.ids import new_id
from clawdeploy_common.tokens import InternalTokens
from clawdeploy_emulators.cloud.hollow_agent import AgentPlayer
from clawdeploy_emulators.cloud.machines import HollowMachine
from clawdeploy_events.deployments import InstanceRedeployRequested
from clawdeploy_provisioner.main import build

TOKEN = "t" * 64
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One cloud: how its stand-in is made from settings all of them have, what the provisioner is told, what an account holds."""

    name: str
    create: Callable[..., FastAPI]
    base_path: str
    holds: Sequence[tuple[str, str]]
    plan: dict[str, Any]
    told: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """A provisioner with an account at one."""

    platform: Platform
    http: AsyncClient
    kind: Kind

    async def names(self, path: str, key: str) -> list[str]:
        """What is in the account."""
        answer = await self.http.get(f"{self.kind.base_path}{path}", headers=BEARER)
        return [item["name"] for item in answer.json()[key]]

    async def servers(self) -> list[str]:
        return await self.names(*self.kind.holds[0])

    async def everything(self) -> list[str]:
        return [name for path, key in self.kind.holds for name in await self.names(path, key)]

    async def asks(self, path: str) -> dict[str, Any]:
        """A route of the provisioner, asked by an operator."""
        tokens = self.platform.service.tokens
        headers = {"Authorization": f"Bearer {tokens.issue('provisioner', operator=True)}"}
        async with AsyncClient(transport=ASGITransport(self.platform.app), base_url="http://provisioner") as inside:
            answer = await inside.get(path, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def fault(self, **fault: Any) -> None:
        answer = await self.http.put("/_emulator/faults", json=[fault], headers=BEARER)
        assert answer.status_code < 300, answer.text

    async def deployed(self, **changes: Any) -> Instance:
        return await self.platform.deployed(**(self.kind.plan | changes))

    async def redeployed_in_place(self, instance: Instance) -> None:
        operation_id = new_id()
        event = InstanceRedeployRequested(
            operation_id=operation_id, deployment=deployment_plan(operation_id, **self.kind.plan), in_place=True
        )
        await self.platform.send(event, key=instance.id, account_id=instance.account_id)
        await self.platform.done(operation_id)

    async def agent(self, server_id: UUID) -> Any:
        """The row of a server's agent."""
        (row,) = await self.platform.rows("SELECT * FROM server_agents WHERE id = :id", id=server_id)
        return row

    async def tokens(self, server_id: UUID) -> Sequence[Any]:
        """The registration tokens that were made for a server."""
        return await self.platform.rows("SELECT * FROM agent_tokens WHERE server_id = :id", id=server_id)

    async def destroyed(self, instance: Instance) -> None:
        await self.platform.done(await self.platform.destroy(instance))


@asynccontextmanager
async def connected(kind: Kind, database: Database, folder: Path) -> AsyncGenerator[Cloud]:
    """A running provisioner and its account; the hollow servers reach it as through the gateway."""
    relay = ThroughTheGateway()
    script = AgentPlayer(folder / "disks", transport=relay)

    def machine(server_id: str) -> HollowMachine:
        return HollowMachine(server_id, script=script)

    stand_in = kind.create(
        state_file=folder / f"{kind.name}.sqlite",
        token=TOKEN,
        action_seconds=0.2,
        machine=machine,
    )
    gateway, openrouter = Gateway(), openrouter_in(folder)
    mounts = {
        "http://openrouter": ASGITransport(openrouter),
        "http://api": ASGITransport(gateway.app),
        "http://cloud": ASGITransport(stand_in),
    }
    settings = settings_for(
        database,
        providers="",
        clouds=kind.name,
        cloud_visibility_seconds=0,
        agent_busy_heartbeat_seconds=0.1,
        agent_heartbeat_seconds=0.5,
        provider_call_seconds=30,
        **{f"{kind.name}_base_url": f"http://cloud{kind.base_path}"},
        **kind.told,
    )
    service, app = build(settings, http=AsyncClient(mounts=mounts))
    relay.inner, relay.tokens = ASGITransport(app), InternalTokens(settings.internal_secret, service="api")
    outside = AsyncClient(transport=ASGITransport(openrouter), base_url="http://openrouter")
    account = AsyncClient(transport=ASGITransport(stand_in), base_url="http://cloud")
    async with stand_in.router.lifespan_context(stand_in), app.router.lifespan_context(app), outside, account:
        while not service.migrated:
            await asyncio.sleep(0.02)
        light = LightProvider(folder / "none")
        platform = Platform(service, app, light, outside, moments=Moments(), gateway=gateway)
        yield Cloud(platform=platform, http=account, kind=kind)

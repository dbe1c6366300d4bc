"""What the tests of the `docker` provider share: a platform of its own on the run's engine, and agents that are always destroyed."""

import asyncio
import os
import subprocess
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import httpx

from clawdeploy_provisioner.openclaw.config import LLM_KEY_VARIABLE, AgentConfig, GatewayIdentity
from clawdeploy_provisioner.openclaw.gateway import GatewayClient
from clawdeploy_provisioner.providers.docker.provider import DockerProvider
from clawdeploy_provisioner.providers.docker.settings import DockerHost, DockerSettings
from clawdeploy_provisioner.providers.protocol import Bundle, Server, ServerSpec, require_alive
from tests.e2e.openclaw import MODEL, a_spec

KEY = "sk-or-v1-planted-" + "7f3a" * 8
START_SECONDS = 240
"""A real OpenClaw with one CPU, while others use the machine."""


@dataclass
class Cells:
    """A provider with a home of its own; ``engine`` runs the `docker` command on the same engine."""

    settings: DockerSettings
    provider: DockerProvider
    http: httpx.AsyncClient
    url: str
    llm_base_url: str = "https://openrouter.ai/api/v1"
    key: str = KEY
    made: list[UUID] = field(default_factory=list[UUID])

    async def deployed(self, *, model: str = MODEL, overrides: dict[str, Any] | None = None, **spec: Any) -> "Cell":
        """An agent that is installed and configured, not started."""
        wanted = a_spec(**spec)
        self.made.append(wanted.server_id)
        await self.provider.ensure_server(wanted)
        await self.provider.ensure_installed(wanted.server_id, _silent)
        cell = Cell(cells=self, spec=wanted, identity=GatewayIdentity.for_instance(wanted.instance_id))
        bundle = cell.bundle(model=model, overrides=overrides or {})
        await self.provider.check_configuration(wanted.server_id, bundle)
        await self.provider.write_configuration(wanted.server_id, bundle)
        return cell

    async def engine(self, *command: str) -> str:
        """Do something at the engine, as somebody outside the platform would."""
        argv = ["docker", "-H", self.url, *command]
        done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, env=os.environ, check=True)
        return done.stdout.strip()

    async def left(self, server_id: UUID) -> list[str]:
        """Everything on the engine that carries the server's label."""
        label = f"label=clawdeploy.server={server_id}"
        kinds = (["ps", "-aq"], ["network", "ls", "-q"], ["volume", "ls", "-q"])
        return "\n".join([await self.engine(*kind, "--filter", label) for kind in kinds]).split()


@dataclass(frozen=True)
class Cell:
    """One deployed agent."""

    cells: Cells
    spec: ServerSpec
    identity: GatewayIdentity

    @property
    def id(self) -> UUID:
        return self.spec.server_id

    @property
    def container(self) -> str:
        return f"clawdeploy-{self.spec.instance_id}"

    @property
    def provider(self) -> DockerProvider:
        return self.cells.provider

    def bundle(self, *, model: str = MODEL, overrides: dict[str, Any] | None = None, version: int = 1) -> Bundle:
        config = AgentConfig(
            identity=self.identity, llm_base_url=self.cells.llm_base_url, model=model, overrides=overrides or {}
        )
        return Bundle(config=config, environment={LLM_KEY_VARIABLE: self.cells.key}, version=version)

    async def started(self) -> Server:
        await self.provider.start(self.id)
        return await self.ready()

    async def ready(self) -> Server:
        """Wait for `/startupz`, as an operation does."""
        async with asyncio.timeout(START_SECONDS):
            while not require_alive(server := await self.seen()).ready:
                await asyncio.sleep(0.1)
            return server

    async def seen(self) -> Server:
        server = await self.provider.observe(self.id)
        assert server is not None
        return server

    async def rpc(self, method: str) -> Any:
        server = await self.seen()
        assert server.address is not None
        return await GatewayClient(server.address.base_url, self.identity, http=self.cells.http).rpc(method)

    async def ask(self, question: str) -> str:
        """One answer in the conversation all questions of a test share."""
        server = await self.seen()
        assert server.address is not None
        gateway = GatewayClient(server.address.base_url, self.identity, http=self.cells.http)
        body: dict[str, Any] = {"messages": [{"role": "user", "content": question}], "user": "e2e"}
        async with gateway.chat(body) as answer:
            raw = b"".join([chunk async for chunk in answer.chunks])
        assert answer.status == 200, raw
        content: str = httpx.Response(200, content=raw).json()["choices"][0]["message"]["content"]
        return content


@asynccontextmanager
async def cells_of(
    url: str, folder: Path, *, image: str, others: Mapping[str, str] = MappingProxyType({}), **facts: Any
) -> AsyncGenerator[Cells]:
    """A platform on the engine and on ``others`` (name: address); what it made is destroyed at the end, whatever happened."""
    hosts = tuple(DockerHost(name=name, url=each) for name, each in {"local": url, **others}.items())
    settings = DockerSettings(hosts=hosts, home=folder, image=image, reservations_dir=folder / "reservations")
    async with httpx.AsyncClient() as http:
        provider = DockerProvider(settings, http=http)
        cells = Cells(settings=settings, provider=provider, http=http, url=url, **facts)
        try:
            yield cells
        finally:
            for server_id in cells.made:
                await provider.destroy(server_id)
            await provider.close()


async def _silent(_message: str) -> None:
    pass

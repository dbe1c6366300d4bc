"""What the tests with a real OpenClaw share: the model's stand-in, one installation, and instances that are always destroyed."""

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from clawdeploy_common.ids import new_id
from clawdeploy_events.deployments import BOOTSTRAP_ACCOUNT
from clawdeploy_provisioner.openclaw.channels import Channel
from clawdeploy_provisioner.openclaw.config import LLM_KEY_VARIABLE, AgentConfig, GatewayIdentity
from clawdeploy_provisioner.openclaw.gateway import GatewayClient
from clawdeploy_provisioner.providers.process import ProcessProvider, ProcessSettings
from clawdeploy_provisioner.providers.protocol import Bundle, Server, ServerSpec, require_alive

MODEL = "openai/gpt-5.2"
MANAGEMENT_KEY = "sk-or-v1-" + "management" * 4
TOOLS = Path(os.environ.get("CLAWDEPLOY_TEST_TOOLS_DIR") or Path(__file__).parents[2] / "build" / "test-tools")
"""OpenClaw and Node for the tests: installed by the first that needs them, removed by `make clean`."""

START_SECONDS = 240


@dataclass(frozen=True)
class Model:
    """The stand-in for OpenRouter, running."""

    base_url: str
    key: str

    @property
    def llm_base_url(self) -> str:
        return f"{self.base_url}/api/v1"


@asynccontextmanager
async def model_stand_in(folder: Path) -> AsyncGenerator[Model]:
    """OpenRouter's stand-in as a process of its own, with one key minted."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv = [
        sys.executable,
        "-m",
        "clawdeploy_emulators",
        "openrouter",
        "--port",
        str(port),
        "--state",
        str(folder / "openrouter.sqlite"),
    ]
    process = await asyncio.create_subprocess_exec(
        *argv, env=os.environ | {"OPENROUTER_MANAGEMENT_KEY": MANAGEMENT_KEY}, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield Model(base_url=f"http://127.0.0.1:{port}", key=await _minted(f"http://127.0.0.1:{port}"))
    finally:
        process.kill()
        await process.wait()


async def _minted(base_url: str) -> str:
    headers = {"Authorization": f"Bearer {MANAGEMENT_KEY}"}
    async with httpx.AsyncClient(base_url=base_url, headers=headers) as http, asyncio.timeout(30):
        while True:
            try:
                answer = await http.post("/api/v1/keys", json={"name": "e2e"})
            except httpx.TransportError:
                await asyncio.sleep(0.1)
            else:
                key: str = answer.raise_for_status().json()["key"]
                return key


@dataclass
class Platform:
    """A provider over a directory of its own; `again` is what a restarted provisioner would have."""

    settings: ProcessSettings
    http: httpx.AsyncClient
    model: Model
    made: list[UUID] = field(default_factory=list[UUID])

    @property
    def provider(self) -> ProcessProvider:
        return ProcessProvider(self.settings, http=self.http)

    async def deployed(
        self, *, channels: tuple[Channel, ...] = (), environment: dict[str, str] | None = None, **spec: Any
    ) -> "Agent":
        """An agent that is installed and configured, not started."""
        wanted = a_spec(**spec)
        self.made.append(wanted.server_id)
        await self.provider.ensure_server(wanted)
        await self.provider.ensure_installed(wanted.server_id, _silent)
        identity = GatewayIdentity.for_instance(wanted.instance_id)
        config = AgentConfig(identity=identity, llm_base_url=self.model.llm_base_url, model=MODEL, channels=channels)
        bundle = Bundle(config=config, environment={LLM_KEY_VARIABLE: self.model.key, **(environment or {})}, version=1)
        await self.provider.write_configuration(wanted.server_id, bundle)
        return Agent(platform=self, server_id=wanted.server_id, identity=identity, bundle=bundle)

    async def ready(self, server_id: UUID) -> Server:
        """Wait for `/startupz`, as an operation does."""
        async with asyncio.timeout(START_SECONDS):
            while True:
                server = await self.provider.observe(server_id)
                assert server is not None
                if require_alive(server).ready:
                    return server
                await asyncio.sleep(0.2)


@dataclass(frozen=True)
class Agent:
    """One deployed agent."""

    platform: Platform
    server_id: UUID
    identity: GatewayIdentity
    bundle: Bundle

    @property
    def directory(self) -> Path:
        return self.platform.settings.instances_dir / str(self.server_id)

    async def started(self) -> Server:
        await self.platform.provider.start(self.server_id)
        return await self.platform.ready(self.server_id)

    async def gateway(self) -> GatewayClient:
        server = await self.platform.provider.observe(self.server_id)
        assert server is not None
        assert server.address is not None
        return GatewayClient(server.address.base_url, self.identity, http=self.platform.http)

    async def ask(self, question: str) -> str:
        """One answer in the conversation all questions of a test share."""
        gateway = await self.gateway()
        body: dict[str, Any] = {"messages": [{"role": "user", "content": question}], "user": "e2e"}
        async with gateway.chat(body) as answer:
            raw = b"".join([chunk async for chunk in answer.chunks])
        assert answer.status == 200, raw
        content: str = httpx.Response(200, content=raw).json()["choices"][0]["message"]["content"]
        return content


def a_spec(**changes: Any) -> ServerSpec:
    """A server of 2 GB."""
    fields: dict[str, Any] = {
        "server_id": new_id(),
        "instance_id": new_id(),
        "account_id": BOOTSTRAP_ACCOUNT,
        "operation_id": new_id(),
        "slug": "e2e",
        "region": "local",
        "memory_mb": 2048,
        "cpu_millis": 1000,
    }
    return ServerSpec(**(fields | changes))


@asynccontextmanager
async def platform_of(model: Model) -> AsyncGenerator[Platform]:
    """A platform in a folder other uids can pass through; its instances are destroyed at the end, whatever happened."""
    folder = _open_folder()
    settings = ProcessSettings.located(
        instances_dir=folder / "instances", tools_dir=TOOLS, port_first=29_000, port_count=8
    )
    async with httpx.AsyncClient() as http:
        platform = Platform(settings=settings, http=http, model=model)
        try:
            yield platform
        finally:
            for server_id in platform.made:
                await platform.provider.destroy(server_id)
            shutil.rmtree(folder)


def _open_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="clawdeploy-e2e-"))
    folder.chmod(0o711)
    return folder


async def _silent(_message: str) -> None:
    pass

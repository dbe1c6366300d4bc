"""The platform as `claw up` starts it, with a real OpenClaw: idle_pss_mb, deploy_ratio, instance_rss_ratio."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil

from clawdeploy_common.http import AsyncClient
from clawdeploy_provisioner.openclaw.tree import Tools
from clawdeploy_provisioner.providers.process.directory import ServerDirectory
from clawdeploy_provisioner.providers.process.settings import reachable
from tests.bench.engines import Engines
from tests.bench.figures import Figure, side_by_side
from tests.bench.openclaw_by_hand import chat, same_as, tree_mb, with_defaults
from tests.bench.size import Size
from tests.e2e.local import Local, open_folder
from tests.e2e.openclaw import TOOLS
from tests.engines.ports import free_ports

SETTLED_S = 60.0
QUESTIONS = ("What is 17 + 25?", "What is 20 + 3?")
STAND_IN = "openrouter-stand-in"
AFTER_A_CHAT_S = 3.0


async def measure_idle(_: Engines, __: Size) -> list[Figure]:
    """Nobody uses it."""
    async with _platform() as platform:
        return [await platform.idle()]


async def measure_deploying(_: Engines, size: Size) -> list[Figure]:
    """Clicks, and the same OpenClaw by hand."""
    async with _platform() as platform:
        await platform.warm_up()
        found = await side_by_side(platform.click, platform.by_hand, rounds=min(3, size.rounds))
    return [Figure(name="deploy_ratio", where="process", rounds=found.ratios, facts=found.facts("s"))]


async def measure_memory(_: Engines, size: Size) -> list[Figure]:
    """Agents after two chats."""
    async with _platform() as platform:
        await platform.warm_up()
        return [await platform.memory(rounds=min(2, size.rounds))]


@asynccontextmanager
async def _platform() -> AsyncGenerator["Platform"]:
    local = Local(await asyncio.to_thread(open_folder) / "bench")
    up = await asyncio.to_thread(local.claw, "up")
    if up.returncode:
        raise RuntimeError(up.stderr)
    try:
        yield Platform(local)
    finally:
        await asyncio.to_thread(local.claw, "clean", "--yes")


class Deployed:
    """An instance that has started: where it lives, and how long it took from the click."""

    def __init__(self, instance_id: UUID, directory: Path, *, seconds: float) -> None:
        self.id = instance_id
        self.directory = directory
        self.seconds = seconds


class Platform:
    """A running platform, measured from outside."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self._tools = Tools(reachable(TOOLS))
        key = local.claw("auth", "token").stdout.strip()
        self._http = AsyncClient(
            base_url=f"http://127.0.0.1:{local.port}", headers={"Authorization": f"Bearer {key}"}, trust_env=False
        )
        self._like: Path | None = None
        self._number = 0

    async def idle(self) -> Figure:
        """Proportional memory of everything but the stand-in for OpenRouter, which a real platform does not run."""
        await asyncio.sleep(SETTLED_S)
        found = await asyncio.to_thread(self._memory_by_service)
        aside = found.pop(STAND_IN, 0.0)
        facts = {**found, "stand_in_aside": aside}
        return Figure(name="idle_pss_mb", where="claw up", rounds=[sum(found.values())], facts=facts)

    def _memory_by_service(self) -> dict[str, float]:
        state = json.loads((self._local.folder / "home" / "run" / "state.json").read_text())
        pids = {each["name"]: each["identity"]["pid"] for each in state["services"]}
        found = {name: sum(map(_pss_mb, _tree(pid))) for name, pid in pids.items()}
        supervisor = state["supervisor"]["pid"]
        return {**found, "supervisor": _pss_mb(supervisor)}

    async def warm_up(self) -> None:
        """The first deployment installs OpenClaw, and has this shape of configuration checked."""
        await self.destroy((await self.deploy()).id)

    async def deploy(self) -> Deployed:
        """Click, and wait until the platform itself has seen ``/startupz``."""
        self._number += 1
        body = {"name": f"Bench {self._number}", "model": "gpt-5.2", "channel": "telegram", "provider": "process"}
        clicked = time.time()
        answer = await self._http.post("/v1/instances", json=body)
        instance = answer.raise_for_status().json()
        finished = await self._until_step(instance["operation"]["id"], "wait_started")
        await self._until_ended(instance["operation"]["id"])
        directory = await asyncio.to_thread(_directory_of, self._local.folder / "home", instance["id"])
        return Deployed(UUID(instance["id"]), directory, seconds=finished.timestamp() - clicked)

    async def destroy(self, instance_id: UUID) -> None:
        """Remove it, and wait until it is gone."""
        instance = (await self._http.delete(f"/v1/instances/{instance_id}")).raise_for_status().json()
        await self._until_ended(instance["operation"]["id"])

    async def click(self) -> float:
        """Seconds of one deployment."""
        deployed = await self.deploy()
        if self._like is None:
            self._like = await asyncio.to_thread(_kept, deployed.directory)
        await self.destroy(deployed.id)
        return deployed.seconds

    async def by_hand(self) -> float:
        """Seconds of the same OpenClaw's start by hand."""
        if self._like is None:
            await self.click()
        like = self._like
        if like is None:
            raise RuntimeError("nothing was deployed")
        folder, [port] = await asyncio.to_thread(open_folder), free_ports(1)
        async with same_as(like, self._tools, folder=folder / "server", port=port) as running:
            return running.seconds

    async def memory(self, *, rounds: int) -> Figure:
        """Resident memory after two chats: deployed, and by hand with defaults."""
        found = await side_by_side(self._deployed_mb, self._default_mb, rounds=rounds)
        return Figure(name="instance_rss_ratio", where="process", rounds=found.ratios, facts=found.facts("mb"))

    async def _deployed_mb(self) -> float:
        deployed = await self.deploy()
        for question in QUESTIONS:
            body = {"messages": [{"role": "user", "content": question}]}
            path = f"/v1/instances/{deployed.id}/chat/completions"
            (await self._http.post(path, json=body, timeout=180)).raise_for_status()
        await asyncio.sleep(AFTER_A_CHAT_S)
        record = ServerDirectory(deployed.directory).read()
        if record is None or record.launch is None:
            raise RuntimeError("the agent is gone")
        found = tree_mb(record.launch.pid)
        await self.destroy(deployed.id)
        return found

    async def _default_mb(self) -> float:
        folder, [port] = await asyncio.to_thread(open_folder), free_ports(1)
        key = await self._llm_key()
        address = (await asyncio.to_thread(self._local.services))[STAND_IN]["address"]
        base_url = f"{address}/api/v1"
        made = with_defaults(self._tools, folder=folder / "one", port=port, llm_base_url=base_url, llm_key=key)
        async with made as running:
            for question in QUESTIONS:
                await chat(running.port, question)
            await asyncio.sleep(AFTER_A_CHAT_S)
            return running.resident_mb

    async def _llm_key(self) -> str:
        """A key of its own at the stand-in."""
        text = await asyncio.to_thread((self._local.folder / "home" / "secrets.json").read_text)
        address = (await asyncio.to_thread(self._local.services))[STAND_IN]["address"]
        headers = {"Authorization": f"Bearer {json.loads(text)['stand_in_management_key']}"}
        async with AsyncClient(trust_env=False, headers=headers) as http:
            answer = await http.post(f"{address}/api/v1/keys", json={"name": f"by hand {self._number}"})
            key: str = answer.raise_for_status().json()["key"]
            return key

    async def _until_step(self, operation_id: str, name: str) -> datetime:
        while True:
            operation = await self._operation(operation_id)
            for step in operation["steps"]:
                if step["name"] == name and step["state"] == "done":
                    return datetime.fromisoformat(step["finished_at"])
            if operation["error"]:
                raise RuntimeError(operation["error"])
            await asyncio.sleep(0.25)

    async def _until_ended(self, operation_id: str) -> None:
        while (operation := await self._operation(operation_id))["finished_at"] is None:
            await asyncio.sleep(0.25)
        if operation["state"] != "succeeded":
            raise RuntimeError(f"{operation['kind']} {operation['state']}: {operation['error']}")

    async def _operation(self, operation_id: str) -> dict[str, Any]:
        answer = await self._http.get(f"/v1/operations/{operation_id}")
        return answer.raise_for_status().json()


def _directory_of(home: Path, instance_id: str) -> Path:
    """Where a server lives: as root that may be outside the platform's home."""
    for record in reachable(home / "instances").glob("*/server.json"):
        if json.loads(record.read_text())["instance_id"] == instance_id:
            return record.parent
    raise RuntimeError(f"no directory of {instance_id}")


def _kept(directory: Path) -> Path:
    """A copy of a deployed server's files, to be started by hand when the server itself is gone."""
    given, copy = ServerDirectory(directory), ServerDirectory(open_folder() / directory.name)
    record = given.read()
    if record is None:
        raise RuntimeError("the server is gone")
    copy.create(record.model_copy(update={"uid": None}))
    text = (given.state / "openclaw.json").read_text().replace(str(directory), str(copy.path))
    copy.write_configuration(text.encode(), secrets=given.read_secrets(), owner=None)
    return copy.path


def _tree(pid: int) -> list[int]:
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def _pss_mb(pid: int) -> float:
    """The process's share of memory: shared pages divided among those who share them (proc(5), smaps_rollup)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024

"""A real OpenClaw started by hand: the same as a deployed one, or one as its own documentation tells, with default settings."""

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from clawdeploy_common.http import AsyncClient, HTTPError
from clawdeploy_provisioner.openclaw.gateway import proxy_headers
from clawdeploy_provisioner.openclaw.tree import Tools
from clawdeploy_provisioner.providers.process.directory import CONFIG, ServerDirectory
from clawdeploy_provisioner.providers.process.lifecycle import heap_flags

TOKEN = "a-token-of-a-person-who-starts-it"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
START_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class ByHand:
    """A gateway that has started; how many seconds that took."""

    port: int
    pid: int
    seconds: float

    @property
    def resident_mb(self) -> float:
        """Of its whole process tree."""
        return tree_mb(self.pid)


def tree_mb(pid: int) -> float:
    """Resident memory of a process and its descendants, MB; shared pages counted for each."""
    root = psutil.Process(pid)
    return sum(each.memory_info().rss for each in (root, *root.children(recursive=True))) / 2**20


@asynccontextmanager
async def same_as(deployed: Path, tools: Tools, *, folder: Path, port: int) -> AsyncGenerator[ByHand]:
    """The same configuration, environment and flags as a deployed agent's, in a fresh folder."""
    given, mine = ServerDirectory(deployed), ServerDirectory(folder)
    record = given.read()
    if record is None or record.configured is None:
        raise RuntimeError(f"{deployed} holds no configured server")
    mine.create(record.model_copy(update={"port": port, "uid": None, "launch": None}))
    text = (given.state / CONFIG).read_text().replace(str(deployed), str(folder))
    (mine.state / CONFIG).write_text(text.replace(str(record.port), str(port)))
    environment = mine.environment(tools.search_path) | given.read_secrets() | {"OPENCLAW_SKIP_CHANNELS": "1"}
    flags = heap_flags(record.memory_mb, roomy=record.configured.roomy)
    argv = tools.command("gateway", "run", node_flags=flags)
    headers = proxy_headers(record.configured.identity)
    async with _started(argv, environment, folder=mine.workspace, port=port, headers=headers) as running:
        yield running


@asynccontextmanager
async def with_defaults(
    tools: Tools, *, folder: Path, port: int, llm_base_url: str, llm_key: str
) -> AsyncGenerator[ByHand]:
    """A configuration that says no more than it must: where the model is, and that chat may come over HTTP."""
    for name in ("state", "home", "workspace"):
        (folder / name).mkdir(parents=True)
    config = folder / "state" / CONFIG
    config.write_text(json.dumps(_defaults(folder, port=port, llm_base_url=llm_base_url)))
    environment = {
        "PATH": tools.search_path,
        "HOME": str(folder / "home"),
        "OPENCLAW_HOME": str(folder / "home"),
        "OPENCLAW_STATE_DIR": str(folder / "state"),
        "OPENCLAW_CONFIG_PATH": str(config),
        "LLM_API_KEY": llm_key,
    }
    argv = tools.command("gateway", "run")
    async with _started(argv, environment, folder=folder / "workspace", port=port, headers=BEARER) as running:
        yield running


def _defaults(folder: Path, *, port: int, llm_base_url: str) -> dict[str, Any]:
    models = [{"id": "openai/gpt-5.2", "name": "GPT"}]
    provider = {"baseUrl": llm_base_url, "apiKey": "${LLM_API_KEY}", "api": "openai-completions", "models": models}
    model = {"primary": "openrouter/openai/gpt-5.2"}
    return {
        "gateway": {
            "mode": "local",
            "port": port,
            "bind": "loopback",
            "auth": {"mode": "token", "token": TOKEN},
            "http": {"endpoints": {"chatCompletions": {"enabled": True}}},
        },
        "agents": {"defaults": {"workspace": str(folder / "workspace"), "model": model}},
        "models": {"mode": "merge", "providers": {"openrouter": provider}},
    }


@asynccontextmanager
async def _started(
    argv: list[str], environment: Mapping[str, str], *, folder: Path, port: int, headers: Mapping[str, str]
) -> AsyncGenerator[ByHand]:
    began = time.monotonic()
    process = _spawned(argv, environment, folder=folder)
    try:
        await _wait(port, headers)
        yield ByHand(port=port, pid=process.pid, seconds=time.monotonic() - began)
    finally:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.wait()


def _spawned(argv: list[str], environment: Mapping[str, str], *, folder: Path) -> "subprocess.Popen[bytes]":
    with (folder.parent / "log").open("ab") as log:
        return subprocess.Popen(
            argv, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


async def _wait(port: int, headers: Mapping[str, str]) -> None:
    """Until ``/startupz`` says that it has started; ``headers`` say who asks."""
    url = f"http://127.0.0.1:{port}/startupz"
    async with AsyncClient(trust_env=False) as http, asyncio.timeout(START_SECONDS):
        while True:
            try:
                answer = await http.get(url, headers=dict(headers))
                if answer.status_code == 200 and answer.json().get("status") == "started":
                    return
            except (HTTPError, ValueError):
                pass
            await asyncio.sleep(0.05)


async def chat(port: int, question: str) -> None:
    """One question to a gateway with default settings."""
    body = {"model": "openclaw", "messages": [{"role": "user", "content": question}], "user": "bench"}
    async with AsyncClient(trust_env=False, timeout=180) as http:
        answer = await http.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body, headers=BEARER)
        answer.raise_for_status()

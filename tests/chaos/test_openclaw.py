"""Kills and losses around a real OpenClaw, on a local platform driven by `claw up`, whose supervisor starts what was killed."""

import json
import os
import shutil
import signal
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from clawdeploy_cli.supervisor.instances import MARKER
from tests.e2e.local import Local, open_folder, until

KILL_AT = ("write_configuration", "start", "wait_started")
NOTICED_SECONDS = 30
Json = dict[str, Any]


class Agent(Local):
    """One platform with one agent called survivor."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.key = ""
        self.instance_id = ""

    @property
    def environment(self) -> dict[str, str]:
        """Calls to the provider get little time: whoever takes over after a kill waits until the dead one's call must have ended."""
        return {**super().environment, "CLAWDEPLOY_PROVIDER_CALL_SECONDS": "10", "CLAWDEPLOY_CHECK_SECONDS": "30"}

    def up(self) -> None:
        """Start the platform."""
        done = self.claw("up")
        assert done.returncode == 0, done.stderr
        self.key = self.claw("auth", "token").stdout.strip()

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """Ask the gateway."""
        url, headers = f"http://127.0.0.1:{self.port}{path}", {"Authorization": f"Bearer {self.key}"}
        answer = httpx.request(method, url, headers=headers, timeout=90, **options)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    @property
    def shown(self) -> Json:
        """The agent, as the API shows it."""
        return self.ask("GET", f"/v1/instances/{self.instance_id}")

    def running(self) -> bool:
        """Whether it is shown as running, with nothing under way, and answers."""
        shown = self.shown
        return shown["status"] == "running" and shown["operation"] is None and self.answers(shown)

    def answers(self, shown: Json) -> bool:
        """Whether the agent's gateway itself answers."""
        try:
            return httpx.get(f"{shown['endpoint']}/startupz", timeout=5).is_success
        except (httpx.TransportError, httpx.UnsupportedProtocol):
            return False

    def chat(self, text: str) -> str:
        """One answer in the conversation that all messages of this test share."""
        body = {"messages": [{"role": "user", "content": text}], "user": "survivor"}
        answer = self.ask("POST", f"/v1/instances/{self.instance_id}/chat/completions", json=body)
        return answer["choices"][0]["message"]["content"]

    def reaches(self, step: str) -> None:
        """Return as soon as its first operation has come to a step."""
        deadline = time.monotonic() + 120
        while True:
            operation = self.ask("GET", f"/v1/instances/{self.instance_id}/operations")["items"][-1]
            if any(s["name"] == step and s["state"] != "pending" for s in operation["steps"]):
                return
            assert time.monotonic() < deadline, operation
            time.sleep(0.02)

    def pid_of(self, service: str) -> int:
        """Pid of a service's process, 0 while there is none."""
        record: Json = json.loads((self.folder / "home" / "run" / "state.json").read_text())
        [identity] = [s["identity"] for s in record["services"] if s["name"] == service]
        return int(identity["pid"]) if identity else 0

    def gateways(self) -> list[psutil.Process]:
        """The agent's gateways: marked processes whose parents are not."""
        marked = {process.pid: process for process in psutil.process_iter() if self._is_ours(process)}
        return [process for process in marked.values() if process.ppid() not in marked]

    @property
    def directory(self) -> Path:
        """Where the agent lives."""
        [found] = [p for p in (self.folder / "home" / "instances").iterdir() if p.is_dir() and len(p.name) == 36]
        return found

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            environment = process.environ()
        except psutil.Error:
            return False
        inside = f"{self.folder}/"
        return MARKER in environment and any(value.startswith(inside) for value in environment.values())


@pytest.fixture(scope="module")
def agent() -> Generator[Agent]:
    """An agent whose provisioner was killed three times while it was deployed."""
    agent = Agent(open_folder() / "openclaw")
    try:
        agent.up()
        body = {"name": "survivor", "model": "gpt-5.2", "channel": "telegram"}
        agent.instance_id = agent.ask("POST", "/v1/instances", json=body)["id"]
        for step in KILL_AT:
            agent.reaches(step)
            until(lambda: agent.pid_of("provisioner") != 0)
            os.kill(agent.pid_of("provisioner"), signal.SIGKILL)
        until(agent.running, seconds=240)
        yield agent
    finally:
        agent.claw("clean", "--yes")
        shutil.rmtree(agent.folder.parent, ignore_errors=True)


def test_a_deploy_completes_though_the_provisioner_is_killed_three_times(agent: Agent) -> None:
    """INVARIANT: a deploy of a real OpenClaw survives kill -9 and starts one gateway."""
    operations = agent.ask("GET", f"/v1/instances/{agent.instance_id}/operations")["items"]
    assert [(o["kind"], o["state"]) for o in operations if o["kind"] == "deploy"] == [("deploy", "succeeded")]
    until(lambda: len(agent.gateways()) == 1, seconds=60)
    assert "42" in agent.chat("What is 17 + 25?")


def test_a_killed_gateway_is_started_again_and_chats(agent: Agent) -> None:
    [killed] = agent.gateways()
    killed.kill()
    until(lambda: [p.pid for p in agent.gateways()] not in ([], [killed.pid]), seconds=60)
    until(agent.running, seconds=240)
    assert "23" in agent.chat("What is 20 + 3?")
    assert len(agent.gateways()) == 1


def test_down_and_up_bring_the_agent_back_with_its_conversation_and_an_honest_status(agent: Agent) -> None:
    """INVARIANT: after the platform's restart the agent comes back as it was; until it answers, its status soon says that it does not."""
    agent.chat("What is 2 + 2?")
    before = agent.chat("What is 3 + 3?")
    down = agent.claw("down")
    assert down.returncode == 0, down.stderr
    assert agent.gateways() == []
    agent.up()
    began = unsaid = time.monotonic()
    while (shown := agent.shown)["status"] != "running" or not agent.answers(shown):
        if shown["status"] == "running" and shown["status_reason"] is None:
            unsaid = time.monotonic()
        assert time.monotonic() < began + 120, shown
        time.sleep(0.2)
    assert unsaid - began < NOTICED_SECONDS
    after = agent.chat("What is 4 + 4?")
    assert _messages(after) == _messages(before) + 1
    assert len(agent.gateways()) == 1


def test_an_agent_whose_directory_is_removed_outside_is_an_error_until_it_is_deployed_again(agent: Agent) -> None:
    """INVARIANT: what vanished outside is shown as an error that says why, within half a minute."""
    until(agent.running, seconds=240)
    removed = agent.directory.rename(agent.folder / "removed")  # at once: a living agent goes on writing into it
    shutil.rmtree(removed, ignore_errors=True)
    until(lambda: agent.shown["status"] == "error", seconds=NOTICED_SECONDS)
    assert agent.shown["status_reason"]
    agent.ask("POST", f"/v1/instances/{agent.instance_id}/redeploy")
    until(agent.running, seconds=240)
    assert "19" in agent.chat("What is 10 + 9?")
    until(lambda: len(agent.gateways()) == 1, seconds=60)


def _messages(answer: str) -> int:
    """How many messages of ours the model has seen in this conversation."""
    words = answer.rsplit("I have seen ", 1)[1].split()
    return int(words[0])

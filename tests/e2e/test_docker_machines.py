"""A server of an emulated cloud that is a whole machine: cloud-init, the bootstrap, the on-server agent and a real OpenClaw on it."""

import hashlib
import json
import subprocess
from collections.abc import Generator
from typing import Any

import httpx
import pytest

from clawdeploy_emulators.machines.hypervisor import label_of
from clawdeploy_provisioner.openclaw.version import OPENCLAW_VERSION
from tests.e2e.local import open_folder, until
from tests.e2e.test_story import Story

pytestmark = [pytest.mark.story, pytest.mark.long]
MARK = "/root/mark"
WRITTEN_BY_BOOTSTRAP = ("/etc", "/opt", "/usr/local", "/var/lib/openclaw/.openclaw/openclaw.json")


class CloudStory(Story):
    """One platform with an emulated Hetzner project, whose only server is a container of the run's engine."""

    docker_url = ""

    def docker(self, *command: str) -> str:
        argv = ["docker", "-H", self.docker_url, *command]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()

    @property
    def machines(self) -> list[str]:
        """Every machine of this platform, also those that are off."""
        state = self.folder / "home" / "openrouter-stand-in" / "hetzner.sqlite"
        return self.docker("ps", "-aq", "--filter", f"label=clawdeploy.machine-of={label_of(state)}").split()

    def on_machine(self, *command: str) -> str:
        """What a command on the server prints."""
        [machine] = self.machines
        return self.docker("exec", machine, *command)

    def document(self) -> dict[str, Any]:
        """The configuration that is in place."""
        return json.loads(self.on_machine("cat", "/var/lib/openclaw/.openclaw/openclaw.json"))

    def patch(self, **change: Any) -> None:
        """Change the agent, and wait until that has come to an end."""
        done = self.claw("api", "PATCH", f"/v1/instances/{self.instance['id']}", "--data", json.dumps(change))
        assert done.returncode == 0, done.stderr
        until(lambda: self.instance["operation"] is None, seconds=400)

    async def heartbeat(self) -> dict[str, Any]:
        """The last report of the server's agent."""
        [row] = await self.rows("SELECT heartbeat FROM provisioner.server_agents")
        return json.loads(row["heartbeat"])

    def in_the_account(self) -> list[str]:
        """Names of what the Hetzner project holds."""
        address = self.services()["hetzner-stand-in"]["address"]
        token = hashlib.sha256(f"hetzner:{self.secrets.stand_in_management_key}".encode()).hexdigest()
        with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}) as http:
            kinds = ("servers", "ssh_keys", "firewalls")
            return [item["name"] for kind in kinds for item in http.get(f"/v1/{kind}").json()[kind]]


@pytest.fixture(scope="module")
def story(docker_with_machines: str) -> Generator[CloudStory]:
    more = {"CLAWDEPLOY_EMULATED_CLOUDS": "hetzner", "CLAWDEPLOY_DOCKER_HOSTS": f"local={docker_with_machines}"}
    platform = CloudStory(open_folder() / "story", more=more)
    platform.docker_url = docker_with_machines
    up = platform.claw("up")
    assert up.returncode == 0, up.stderr
    yield platform
    assert platform.claw("clean", "--yes").returncode == 0
    assert platform.machines == []


async def test_a_server_is_made_ready_by_cloud_init_and_its_agent_reports(story: CloudStory) -> None:
    done = story.claw("deploy", "story", "--provider", "hetzner", "--model", "gpt-5.2", "--wait")
    assert done.returncode == 0, done.stderr + done.stdout + story.output()
    assert story.on_machine("systemctl", "--failed", "--no-legend") == ""
    assert "22/tcp" in story.on_machine("ufw", "status")
    report = await story.heartbeat()
    assert report["gateway"]["state"] == "ready"
    assert report["openclaw_version"] == OPENCLAW_VERSION
    assert "openrouter/openai/gpt-5.2" in report["models"]
    assert 0 < report["memory_used_bytes"] < report["memory_total_bytes"]
    assert 0 < report["disk_free_bytes"] < report["disk_total_bytes"]


def test_it_answers_through_the_tunnel(story: CloudStory) -> None:
    said = story.claw("chat", "story", "What is 17 + 25?")
    assert said.returncode == 0, said.stderr
    assert "42" in said.stdout


def test_the_bootstrap_run_again_changes_nothing(story: CloudStory) -> None:
    """INVARIANT: what is done already is left as it is: no file is written, no unit restarted."""
    units = ("systemctl", "show", "-p", "ActiveEnterTimestampMonotonic,NRestarts", "clawdeploy-agent", "openclaw")
    before = story.on_machine(*units)
    story.on_machine("touch", MARK)
    story.on_machine("systemctl", "restart", "clawdeploy-bootstrap")
    assert story.on_machine("systemctl", "is-active", "clawdeploy-bootstrap") == "active"
    assert story.on_machine("find", *WRITTEN_BY_BOOTSTRAP, "-newer", MARK, "-type", "f") == ""
    assert story.on_machine(*units) == before


def test_a_change_is_pulled_applied_and_live(story: CloudStory) -> None:
    story.patch(config={"tools": {"deny": ["exec"]}})
    assert story.instance["applied_config_version"] == story.instance["config_version"] == 2
    assert story.document()["tools"] == {"deny": ["exec"]}
    assert story.on_machine("systemctl", "is-active", "openclaw") == "active"


async def test_a_bad_change_is_refused_on_the_server_and_the_old_one_goes_on(story: CloudStory) -> None:
    story.patch(config={"tools": {"nonsense": True}})
    [row] = await story.rows("SELECT issues FROM provisioner.agent_configurations WHERE result = 'rejected'")
    assert "nonsense" in row["issues"]
    assert story.document()["tools"] == {"deny": ["exec"]}
    assert story.on_machine("systemctl", "is-active", "openclaw") == "active"


def test_stop_and_start_reach_the_unit(story: CloudStory) -> None:
    assert story.claw("stop", "story", "--wait").returncode == 0
    assert story.on_machine("systemctl", "show", "-p", "ActiveState", "--value", "openclaw") == "inactive"
    started = story.claw("start", "story", "--wait")
    assert started.returncode == 0, started.stderr
    assert story.on_machine("systemctl", "is-active", "openclaw") == "active"


def test_destroy_leaves_the_account_and_the_engine_empty(story: CloudStory) -> None:
    """INVARIANT: no server, key, firewall or machine of a destroyed agent is left."""
    assert story.in_the_account() != []
    done = story.claw("destroy", "story", "--yes", "--wait")
    assert done.returncode == 0, done.stderr
    assert story.in_the_account() == []
    until(lambda: story.machines == [])

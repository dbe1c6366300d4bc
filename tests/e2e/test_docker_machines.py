"""Servers of emulated clouds that are whole machines: cloud-init or SSH, the bootstrap, the on-server agent, a real OpenClaw on it."""

import asyncio
import json
import subprocess
from collections.abc import Generator
from typing import Any

import httpx
import pytest

from clawdeploy_cli.supervisor.environment import CLOUD_PATHS, cloud_token
from clawdeploy_emulators.machines.hypervisor import label_of
from clawdeploy_provisioner.openclaw.version import OPENCLAW_VERSION
from tests.e2e.cloud_accounts import Holdings, holdings
from tests.e2e.local import open_folder, until
from tests.e2e.test_story import Story

pytestmark = [pytest.mark.story, pytest.mark.long]
HOUR_AT_CLOUD = {"hetzner": 9_600, "digitalocean": 17_860, "ovh": 6_274}
"""Micro-units an hour of what is ordered there, as the operator's price book says."""
ROUNDING = 730
"""Micro-units by which an hourly price may miss a month's of 730 hours."""
MARK = "/root/mark"
WORKSPACE = "/var/lib/openclaw/.openclaw/workspace"
WRITTEN_BY_BOOTSTRAP = ("/etc", "/opt", "/usr/local", "/var/lib/openclaw/.openclaw/openclaw.json")


class CloudStory(Story):
    """One platform with one emulated account, whose only server is a container of the run's engine."""

    cloud = ""
    docker_url = ""
    within_s = 560
    before: Holdings

    def docker(self, *command: str) -> str:
        argv = ["docker", "-H", self.docker_url, *command]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()

    @property
    def machines(self) -> list[str]:
        """Every machine of this platform, also those that are off."""
        state = self.folder / "home" / "openrouter-stand-in" / f"{self.cloud}.sqlite"
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

    async def booked(self) -> int:
        """Micro-units of servers in the operator's cost book."""
        [row] = await self.rows(
            "SELECT coalesce(sum(micros), 0) AS micros FROM billing.ledger_lines WHERE book = 'cost' AND meter_kind = 'server'"
        )
        return int(row["micros"])

    def bill(self) -> int:
        """Micro-units that the cloud charges."""
        secret = next(iter(self._opens().values()))
        answer = httpx.get(f"{self._cloud_url()}/_emulator/bill", headers={"Authorization": f"Bearer {secret}"})
        return int(answer.json()["total_micros"])

    def in_the_account(self) -> Holdings:
        """Names of what the cloud account holds."""
        return holdings(self.cloud, base_url=f"{self._cloud_url()}{CLOUD_PATHS[self.cloud]}", secrets=self._opens())

    def _cloud_url(self) -> str:
        return self.services()[f"{self.cloud}-stand-in"]["address"]

    def _opens(self) -> dict[str, str]:
        return cloud_token(self.cloud, self.secrets)


@pytest.fixture(scope="module", params=["hetzner", "digitalocean", "ovh"])
def story(docker_with_machines: str, request: pytest.FixtureRequest) -> Generator[CloudStory]:
    cloud = str(request.param)
    price = {"provider": cloud, "cost_micros_per_hour": HOUR_AT_CLOUD[cloud], "charge_micros_per_hour": 20_000}
    prices = [{**price, "plan": plan} for plan in ("free", "basic", "pro", "enterprise")]
    more = {
        "CLAWDEPLOY_EMULATED_CLOUDS": cloud,
        "CLAWDEPLOY_DOCKER_HOSTS": f"local={docker_with_machines}",
        "CLAWDEPLOY_START_SECONDS": "500",  # whatever else this machine does
        "CLAWDEPLOY_BILLING_PRICES": json.dumps(prices),
    }
    platform = CloudStory(open_folder() / "story", more=more)
    platform.cloud, platform.docker_url = cloud, docker_with_machines
    up = platform.claw("up")
    assert up.returncode == 0, up.stderr
    platform.before = platform.in_the_account()
    yield platform
    assert platform.claw("clean", "--yes").returncode == 0
    assert platform.machines == []


async def test_a_server_is_made_ready_and_its_agent_reports(story: CloudStory) -> None:
    asked = ("--provider", story.cloud, "--plan", "basic", "--model", "gpt-5.2")
    done = story.claw("deploy", "story", *asked, "--wait")
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


@pytest.mark.parametrize("how", ["in place", "on a fresh server"])
def test_redeployed_it_knows_what_it_knew(story: CloudStory, how: str) -> None:
    """INVARIANT: nothing of the old system is left, and all of what the agent had there: what it was told, and its own files."""
    if how != "in place" and story.cloud != "hetzner":
        return  # it is the same everywhere, and takes minutes
    story.on_machine("runuser", "-u", "openclaw", "--", "cp", "/etc/os-release", f"{WORKSPACE}/{how}")
    story.on_machine("touch", MARK)
    before = story.in_the_account()["servers"]
    done = story.claw("redeploy", "story", "--keep-state", *(["--in-place"] if how == "in place" else []), "--wait")
    assert done.returncode == 0, done.stderr + done.stdout + story.output()
    assert story.on_machine("find", MARK.rpartition("/")[0], "-name", "mark") == ""
    assert (story.in_the_account()["servers"] == before) is (how == "in place")
    assert story.on_machine("stat", "-c", "%U", f"{WORKSPACE}/{how}") == "openclaw"
    assert story.document()["tools"] == {"deny": ["exec"]}
    said = story.claw("chat", "story", "And 2 + 2?")
    assert f"I have seen {2 if how == 'in place' else 3} messages from you" in said.stdout, said.stderr


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


def test_one_that_gave_up_can_be_stopped(story: CloudStory) -> None:
    """INVARIANT: what OpenClaw's own end (78: nothing restarts it) leaves behind is no failed unit once it is stopped."""
    drop_in = "/run/systemd/system/openclaw.service.d"
    story.on_machine("mkdir", "-p", drop_in)
    gives_up = "[Service]\nExecStart=\nExecStart=/bin/sh -c 'exit 78'\n"
    story.on_machine("python3", "-c", f"open('{drop_in}/end.conf', 'w').write({gives_up!r})")
    story.on_machine("systemctl", "daemon-reload")
    story.on_machine("systemctl", "restart", "openclaw")
    state = ("systemctl", "show", "-p", "ActiveState", "--value", "openclaw")
    until(lambda: story.on_machine(*state) == "failed")
    assert story.claw("stop", "story", "--wait").returncode == 0
    assert story.on_machine(*state) == "inactive"


async def test_destroy_leaves_account_and_engine_as_they_were_and_its_price_on_the_books(story: CloudStory) -> None:
    """INVARIANT: no server, key, firewall or machine of a destroyed agent is left, and what the cloud charges is in the cost book.

    A VPS of OVH is wiped, and goes at the end of the month that is paid.
    """
    assert story.in_the_account()["servers"] != story.before["servers"]
    done = story.claw("destroy", "story", "--yes", "--wait")
    assert done.returncode == 0, done.stderr
    after, stay = story.in_the_account(), 1 if story.cloud == "ovh" else 0
    assert {**after, "ending": []} == {**story.before, "ending": []}
    assert len(after.get("ending", [])) == stay
    until(lambda: len(story.machines) == stay)
    billed, booked = story.bill(), 0
    for _ in range(60):
        booked = await story.booked()
        if abs(booked - billed) < ROUNDING:
            break
        await asyncio.sleep(1)
    lines = await story.rows("SELECT * FROM billing.ledger_lines WHERE book = 'cost' AND meter_kind = 'server'")
    assert abs(booked - billed) < ROUNDING, (booked, billed, [dict(row) for row in lines])
    assert billed > ROUNDING

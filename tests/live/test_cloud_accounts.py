"""One server at each real account that was allowed: ordered, reached, chatted with, destroyed, and the account as it was.

`make test-live` runs it; docs/cloud-accounts.md says what must be set.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from clawdeploy_cli.settings import CLOUDS, CliSettings
from clawdeploy_provisioner.providers.digitalocean.client import BASE_URL as DIGITALOCEAN_URL
from clawdeploy_provisioner.providers.hetzner.client import BASE_URL as HETZNER_URL
from clawdeploy_provisioner.providers.ovh.client import BASE_URL as OVH_URL
from tests.e2e.cloud_accounts import Holdings, holdings
from tests.e2e.local import until
from tests.e2e.test_story import Story
from tests.live.estimate import Estimate, estimate, within
from tests.live.permission import Permission, Refused

pytestmark = [pytest.mark.story, pytest.mark.timeout(3 * 3600)]
PLAN, MODEL = "basic", "gpt-5-mini"
PATIENCE_S = 3600
BASE_URLS = {"hetzner": HETZNER_URL, "digitalocean": DIGITALOCEAN_URL, "ovh": OVH_URL}
"""The real ones; each is a setting of the product, and of this test with it."""


class LivePlatform(Story):
    """A platform beside a real account."""

    cloud = ""
    base_url = ""
    opens: Mapping[str, str]
    before: Holdings

    def ask(self, path: str) -> Any:
        """A question to the public API."""
        done = self.claw("api", "GET", path)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def in_the_account(self) -> Holdings:
        """What the vendor says is there; of what ends by itself, what else is there."""
        return {**holdings(self.cloud, base_url=self.base_url, secrets=self.opens), "ending": []}

    def remove(self) -> None:
        """Stop it and delete its folder."""
        assert self.claw("clean", "--yes").returncode == 0
        shutil.rmtree(self.folder.parent, ignore_errors=True)


def started(permission: Permission, *clouds: str, most: Mapping[str, str]) -> LivePlatform:
    """One that has these accounts; its folder outlives this run, if it must go on removing things."""
    folder = Path(tempfile.mkdtemp(prefix="clawdeploy-live-"))
    folder.chmod(0o711)
    opens = {name: value for cloud in clouds for name, value in permission.accounts[cloud].items()}
    platform = LivePlatform(folder / "platform", more={**permission.product, **opens, **most})
    platform.cloud, platform.opens = clouds[0], opens
    base_url = f"CLAWDEPLOY_{clouds[0].upper()}_BASE_URL"
    platform.base_url = permission.product.get(base_url, BASE_URLS[clouds[0]])
    up = platform.claw("up")
    assert up.returncode == 0, up.stderr
    return platform


@pytest.fixture(scope="session")
def permission() -> Permission:
    """Ends the run when there is none."""
    try:
        return Permission.of(os.environ, CliSettings())
    except Refused as refusal:
        pytest.exit(f"Refused: {refusal}", returncode=2)


@pytest.fixture(scope="session")
def estimates(permission: Permission) -> dict[str, Estimate]:
    """What each server will cost by the live catalogues, told before anything is ordered; ends the run when that is too much."""
    platform = started(permission, *permission.accounts, most={})
    try:
        found = {cloud: _estimated(platform, cloud) for cloud in permission.accounts}
        print(
            f"\nThis run orders one server at each of these accounts:\n{within(list(found.values()), permission.limit)}"
        )
    except Refused as refusal:
        pytest.exit(f"Refused: {refusal}", returncode=2)
    finally:
        platform.remove()
    return found


def _estimated(platform: LivePlatform, cloud: str) -> Estimate:
    account = platform.ask(f"/v1/admin/providers/{cloud}")
    [plan] = [each for each in platform.ask("/v1/catalogue/plans")["items"] if each["id"] == PLAN]
    [provider] = [each for each in platform.ask("/v1/catalogue/providers")["items"] if each["id"] == cloud]
    print(f"\n{cloud}: account {account['account']}, {len(account['sizes'])} sizes, {len(account['servers'])} servers")
    region = next(name for name in provider["regions"] if any(name in size["regions"] for size in account["sizes"]))
    size = {"memory_mb": plan["memory_mb"], "cpu_millis": plan["cpu_millis"]}
    return estimate(cloud, account["sizes"], region=region, **size)


@pytest.fixture(scope="module", params=CLOUDS)
def story(
    permission: Permission, estimates: dict[str, Estimate], request: pytest.FixtureRequest
) -> Generator[LivePlatform]:
    cloud = str(request.param)
    if cloud not in permission.accounts:
        pytest.skip(f"{cloud} was not allowed")
    platform = started(permission, cloud, most=estimates[cloud].most)
    platform.before = platform.in_the_account()
    print(f"\n{cloud}, before: {platform.before}")
    yield platform
    platform.claw("destroy", "story", "--yes")
    try:
        until(lambda: platform.in_the_account() == platform.before, seconds=PATIENCE_S)
    except AssertionError:
        where = f"CLAWDEPLOY_HOME={platform.folder / 'home'}"
        pytest.fail(
            f"NOT REMOVED: {platform.in_the_account()}. The platform runs on and goes on trying: {where} claw fleet"
        )
    platform.remove()


def test_a_server_is_ordered_and_an_agent_comes_up_on_it(story: LivePlatform, estimates: dict[str, Estimate]) -> None:
    region = estimates[story.cloud].region
    where = ("--provider", story.cloud, "--region", region, "--plan", PLAN)
    done = story.claw("deploy", "story", *where, "--model", MODEL)
    assert done.returncode == 0, done.stderr
    until(lambda: story.instance["operation"] is None, seconds=PATIENCE_S)
    assert story.instance["status"] == "running", story.output()
    print(f"\n{story.cloud}, while it runs: {story.in_the_account()}")
    assert story.in_the_account() != story.before


async def test_it_is_reached_by_ssh_and_shows_the_key_that_was_pinned(story: LivePlatform) -> None:
    log = story.claw("logs", "story", "--tail", "5")
    assert log.stdout.strip(), log.stderr
    [row] = await story.rows(
        "SELECT s.host, a.ssh_port, a.host_key FROM provisioner.server_agents a JOIN provisioner.servers s ON s.id = a.id"
    )
    shown = await asyncssh.get_server_host_key(row["host"], row["ssh_port"])
    assert shown is not None
    assert shown.export_public_key("openssh").decode().strip() == row["host_key"]


def test_it_answers(story: LivePlatform) -> None:
    said = story.claw("chat", "story", "What is 17 + 25? Answer with the number.")
    assert said.returncode == 0, said.stderr
    assert "42" in said.stdout


def test_it_is_destroyed_and_the_account_is_as_it_was(story: LivePlatform) -> None:
    """INVARIANT: servers, keys and firewalls of the account are those from before; a VPS of OVH ends with its paid month."""
    done = story.claw("destroy", "story", "--yes")
    assert done.returncode == 0, done.stderr
    until(lambda: story.in_the_account() == story.before, seconds=PATIENCE_S)
    found = holdings(story.cloud, base_url=story.base_url, secrets=story.opens)
    print(f"\n{story.cloud}, after: {found}")

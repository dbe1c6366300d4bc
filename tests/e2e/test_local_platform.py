"""`claw up`, `status` and `down` on the whole local platform: every process is real."""

import json
import os
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from clawdeploy_cli.processes import identify, wait_gone
from clawdeploy_cli.secret_store import Secrets
from clawdeploy_cli.supervisor.state import read_record
from tests.e2e.local import CLAW, Local, open_folder, until
from tests.engines.ports import free_ports

PROCESSES = {"postgres", "broker", "openrouter-stand-in", "warm-parent", "provisioner", "monitor", "billing", "api"}


@pytest.fixture(scope="module")
def local() -> Generator[Local]:
    platform = Local(open_folder() / "one")
    up = platform.claw("up")
    assert up.returncode == 0, up.stderr
    yield platform
    platform.claw("clean", "--yes")


def test_status_lists_every_process_engines_included(local: Local) -> None:
    services = local.services()
    assert services.keys() == PROCESSES
    for service in services.values():
        assert service.keys() == {"name", "pid", "state", "since", "address"}
        assert service["state"] == "ready"
        assert Path(f"/proc/{service['pid']}").exists()


def test_a_second_up_finds_the_platform_running_and_changes_nothing(local: Local) -> None:
    before = {name: service["pid"] for name, service in local.services().items()}
    up = local.claw("up")
    assert up.returncode == 0
    assert "running already" in up.stderr
    assert "stays" not in up.stderr
    [port] = free_ports(1)
    environment = {**local.environment, "CLAWDEPLOY_PORT": str(port)}
    elsewhere = subprocess.run(
        [CLAW, "up"], env=environment, cwd=local.folder, capture_output=True, text=True, check=True
    )
    assert f"CLAWDEPLOY_PORT={port} was not applied, http://127.0.0.1:{local.port} stays" in elsewhere.stderr
    assert {name: service["pid"] for name, service in local.services().items()} == before


def test_the_key_that_up_made_signs_in(local: Local) -> None:
    assert local.claw("auth", "token").stdout.startswith("claw_")
    account = json.loads(local.claw("api", "GET", "/v1/me").stdout)
    assert account["role"] == "admin"


@pytest.mark.parametrize("name", sorted(PROCESSES))
def test_a_killed_process_comes_back(local: Local, name: str) -> None:
    """INVARIANT: kill -9 of any process of the platform is mended without anybody's help."""
    before = local.services()[name]["pid"]
    os.kill(before, signal.SIGKILL)
    until(lambda: (now := local.services()[name])["pid"] not in {None, before} and now["state"] == "ready")
    until(lambda: local.claw("status").returncode == 0)


def test_no_secret_is_in_a_command_line_nor_in_what_a_service_was_started_with(local: Local) -> None:
    secrets = Secrets.model_validate_json((local.folder / "home" / "secrets.json").read_bytes())
    made = secrets.model_dump(exclude={"database_passwords"})
    values = [*map(str, made.values()), *secrets.database_passwords.values()]
    for name, service in local.services().items():
        arguments = Path(f"/proc/{service['pid']}/cmdline").read_text()
        assert not [value for value in values if value in arguments]
        environment = Path(f"/proc/{service['pid']}/environ").read_text(errors="replace")
        assert name == "openrouter-stand-in" or not [value for value in values if value in environment]


def test_up_says_whom_prometheus_may_scrape(local: Local) -> None:
    groups = json.loads((local.folder / "home" / "prometheus-targets.json").read_text())
    services = local.services()
    shown = {group["labels"]["service"]: f"http://{group['targets'][0]}" for group in groups}
    assert shown == {name: services[name]["address"] for name in ("api", "provisioner", "monitor", "billing")}
    for address in shown.values():  # looked at every few seconds, and killed by the tests before
        until(lambda address=address: "clawdeploy_database_up 1.0" in httpx.get(f"{address}/metrics").text)


def test_another_platform_runs_beside_it(local: Local) -> None:
    other = Local(local.folder.parent / "two")
    try:
        assert other.claw("up").returncode == 0
        assert json.loads(other.claw("api", "GET", "/v1/me").stdout)["role"] == "admin"
        assert not {service["pid"] for service in other.services().values()} & {
            service["pid"] for service in local.services().values()
        }
    finally:
        assert other.claw("clean", "--yes").returncode == 0
    assert not (other.folder / "home").exists()


def test_a_killed_supervisor_leaves_nothing_and_the_next_up_mends_it(local: Local) -> None:
    children = [found for service in local.services().values() if (found := identify(service["pid"]))]
    os.kill(local.supervisor(), signal.SIGKILL)
    assert wait_gone(children, timeout_s=20)
    assert local.claw("status").returncode == 4
    assert local.claw("up").returncode == 0
    assert local.services().keys() == PROCESSES


def test_down_ends_every_process_and_keeps_the_data(local: Local) -> None:
    children = [found for service in local.services().values() if (found := identify(service["pid"]))]
    account = local.claw("api", "GET", "/v1/me").stdout
    assert local.claw("down").returncode == 0
    assert wait_gone(children, timeout_s=1)
    status = local.claw("status", "--json")
    assert (status.returncode, json.loads(status.stdout)) == (4, {"services": []})
    assert local.claw("ls").returncode == 4
    assert local.claw("up").returncode == 0
    assert json.loads(local.claw("api", "GET", "/v1/me").stdout)["id"] == json.loads(account)["id"]


def test_up_waits_for_a_down_that_is_under_way(local: Local) -> None:
    before = local.supervisor()
    with local.begin("down") as down:
        until(lambda: (record := read_record(local.record)) is None or record.stopping)
        came_up = local.claw("up")
    assert (down.returncode, came_up.returncode) == (0, 0)
    assert "Ready" in came_up.stderr + came_up.stdout
    assert local.supervisor() != before
    assert local.claw("status").returncode == 0

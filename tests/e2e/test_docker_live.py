"""`make test-live` itself, with the addresses of stand-ins in the settings of the APIs: proof that it works, of no real account."""

import os
import secrets
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from clawdeploy_cli.supervisor.environment import CLOUD_PATHS, CLOUD_SECRETS
from clawdeploy_provisioner.providers.process.settings import reachable
from tests.e2e.local import open_folder
from tests.e2e.openclaw import TOOLS
from tests.engines.ports import free_ports

pytestmark = [pytest.mark.long]
CHECKOUT = Path(__file__).parents[2]
MODEL_KEY = "OPENROUTER_MANAGEMENT_KEY"


@contextmanager
def stand_in(name: str, folder: Path, *more: str, port: int, opens: dict[str, str]) -> Generator[None]:
    """One stand-in as a process of its own."""
    argv = [sys.executable, "-m", "clawdeploy_emulators", name, "--port", str(port)]
    state = folder / f"{name}.sqlite"
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            [*argv, "--state", str(state), *more], env=os.environ | opens, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def without_machines(docker_url: str, state: Path) -> None:
    """Remove what a cloud's stand-in left on the engine."""
    leave = [sys.executable, "-m", "clawdeploy_emulators.machines.leave", "--docker", docker_url]
    subprocess.run([*leave, str(state)], check=True)


def said(cloud: str, *, gateway: int, model: int, api: int) -> dict[str, str]:
    """What a person would set, besides the account's secrets."""
    return {
        "CLAWDEPLOY_LIVE_YES": cloud,
        "CLAWDEPLOY_LIVE_LIMIT_EUR": "5.00",
        "CLAWDEPLOY_LIVE_OVH_MONTH": "yes",
        "CLAWDEPLOY_PUBLIC_URL": f"http://127.0.0.1:{gateway}",
        "CLAWDEPLOY_PORT": str(gateway),
        "CLAWDEPLOY_START_SECONDS": "500",  # whatever else this machine does
        "OPENROUTER_BASE_URL": f"http://127.0.0.1:{model}/api/v1",
        f"CLAWDEPLOY_{cloud.upper()}_BASE_URL": f"http://127.0.0.1:{api}{CLOUD_PATHS[cloud]}",
    }


def run_live(environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """The command of `make test-live`."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "CLAWDEPLOY_TEST_TOOLS_DIR") if name in os.environ}
    run = [sys.executable, "-m", "pytest", "-s", "-m", "live", "tests/live"]
    return subprocess.run(
        run, cwd=CHECKOUT, env={**kept, **environment}, capture_output=True, text=True, timeout=1700, check=False
    )


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("cloud", CLOUD_SECRETS)
def test_it_orders_reaches_chats_destroys_and_leaves_the_account_as_it_was(
    docker_with_machines: str, cloud: str
) -> None:
    folder = open_folder()
    gateway, model, api = free_ports(3)
    opens = {name: secrets.token_hex(32) for name in CLOUD_SECRETS[cloud]}
    model_opens = {MODEL_KEY: secrets.token_hex(32)}
    real = ["--machines", "real", "--docker", docker_with_machines, "--tools", str(reachable(TOOLS))]
    reach = ["--reach", str(gateway), "--reach", str(model)]
    with ExitStack() as running:
        running.callback(without_machines, docker_with_machines, folder / f"{cloud}.sqlite")
        running.enter_context(stand_in("openrouter", folder, port=model, opens=model_opens))
        running.enter_context(stand_in(cloud, folder, *real, *reach, port=api, opens=opens))
        done = run_live({**opens, **model_opens, **said(cloud, gateway=gateway, model=model, api=api)})
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert f"{cloud}, after:" in done.stdout
    print(done.stdout)

"""The clouds' stand-ins as processes: each starts from its command line, keeps its state, and ends when told."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.contracts.clouds import APPLICATION, BEARER, CONSUMER, TOKEN
from tests.contracts.test_openrouter_process import free_port, wait_until_up

SECRETS = {
    "HCLOUD_TOKEN": TOKEN,
    "DIGITALOCEAN_TOKEN": TOKEN,
    "OVH_APPLICATION_KEY": APPLICATION,
    "OVH_APPLICATION_SECRET": TOKEN,
    "OVH_CONSUMER_KEY": CONSUMER,
}


@pytest.mark.parametrize("cloud", ["hetzner", "digitalocean", "ovh"])
def test_it_serves_from_its_command_line_and_ends_in_order(tmp_path: Path, cloud: str) -> None:
    state, port = tmp_path / "state.sqlite", free_port()
    argv = [sys.executable, "-m", "clawdeploy_emulators", cloud, "--port", str(port), "--state", str(state)]
    process = subprocess.Popen(argv, env={**os.environ, **SECRETS}, stdout=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=BEARER, timeout=10) as http:
            wait_until_up(http)
            sold_out = [{"place": "somewhere", "plan": "*"}]
            assert http.put("/_emulator/sold-out", json=sold_out).json() == sold_out
            assert http.get("/_emulator/bill").json()["total_micros"] == 0
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
    finally:
        process.kill()
        process.wait(timeout=10)
    assert [path.name for path in tmp_path.iterdir()] == ["state.sqlite"]  # closed in order: no log left behind


@pytest.mark.parametrize("cloud", ["hetzner", "digitalocean", "ovh"])
def test_it_refuses_to_start_without_its_secret(tmp_path: Path, cloud: str) -> None:
    argv = [sys.executable, "-m", "clawdeploy_emulators", cloud, "--port", "1", "--state", str(tmp_path / "state")]
    environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
    refused = subprocess.run(argv, env=environment, capture_output=True, timeout=60, check=False)
    assert refused.returncode != 0
    assert b"set " in refused.stderr

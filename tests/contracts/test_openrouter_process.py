"""The stand-in as a process: what survives it, what it never writes, and how it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.contracts.conftest import MANAGEMENT_KEY

MANAGER = {"Authorization": f"Bearer {MANAGEMENT_KEY}"}
CHAT = {"model": "openai/gpt-5.2", "messages": [{"role": "user", "content": "Hello"}]}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def running(
    state: Path, *options: str, environment: dict[str, str] | None = None
) -> Generator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """The stand-in as its own process, with a client that shows the management key."""
    port = free_port()
    argv = [sys.executable, "-m", "clawdeploy_emulators", "openrouter", "--port", str(port), "--state", str(state)]
    given = {"OPENROUTER_MANAGEMENT_KEY": MANAGEMENT_KEY, **(environment or {})}
    process = subprocess.Popen([*argv, *options], env={**os.environ, **given}, stdout=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=MANAGER, timeout=10) as http:
            wait_until_up(http)
            yield process, http
    finally:
        process.kill()
        process.wait(timeout=10)


def wait_until_up(http: httpx.Client) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            http.get("/healthz").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("the stand-in did not come up")


def test_state_survives_a_kill_and_holds_no_key_in_clear(tmp_path: Path) -> None:
    state = tmp_path / "openrouter.sqlite"
    with running(state) as (process, http):
        minted = http.post("/api/v1/keys", json={"name": "kept", "limit": 3}).json()
        headers = {"Authorization": f"Bearer {minted['key']}"}
        http.post("/api/v1/chat/completions", json=CHAT, headers=headers).raise_for_status()
        before: dict[str, Any] = http.get(f"/api/v1/keys/{minted['data']['hash']}").json()
        process.kill()
        process.wait(timeout=10)
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert minted["data"]["hash"].encode() in written
    for secret in (minted["key"], minted["key"].removeprefix("sk-or-v1-"), MANAGEMENT_KEY):
        assert secret.encode() not in written
    assert state.stat().st_mode & 0o077 == 0
    with running(state) as (_, http):
        assert http.get(f"/api/v1/keys/{minted['data']['hash']}").json() == before
        assert before["data"]["usage"] > 0
        assert http.post("/api/v1/chat/completions", json=CHAT, headers=headers).status_code == 200


def test_it_ends_in_time_with_a_stream_and_a_silence_open(tmp_path: Path) -> None:
    with running(tmp_path / "openrouter.sqlite", "--chunk-delay", "5") as (process, http):
        secret = http.post("/api/v1/keys", json={"name": "a"}).json()["key"]
        headers = {"Authorization": f"Bearer {secret}"}
        http.put("/_emulator/faults", json=[{"path_prefix": "/models", "kind": "timeout_before", "seconds": 600}])
        with (
            socket.create_connection((http.base_url.host, http.base_url.port or 0)) as silence,
            http.stream("POST", "/api/v1/chat/completions", json={**CHAT, "stream": True}, headers=headers) as stream,
        ):
            silence.sendall(b"GET /api/v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
            lines = stream.iter_lines()
            assert next(lines) == ": OPENROUTER PROCESSING"
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=15)
        assert time.monotonic() - began < 10
    assert [path.name for path in tmp_path.iterdir()] == ["openrouter.sqlite"]  # closed in order: no log left behind


def test_it_refuses_to_start_without_a_management_key(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "clawdeploy_emulators", "openrouter", "--port", "1", "--state", str(tmp_path / "s")]
    environment = {name: value for name, value in os.environ.items() if name != "OPENROUTER_MANAGEMENT_KEY"}
    refused = subprocess.run(argv, env=environment, capture_output=True, timeout=30, check=False)
    assert refused.returncode != 0
    assert b"OPENROUTER_MANAGEMENT_KEY" in refused.stderr

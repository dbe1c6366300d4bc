"""SENTRY_DSN: errors of a running service reach Sentry, without secrets; without it the SDK is not even loaded."""

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from tests.engines.ports import free_ports
from tests.integration.machinery.throwaway.crashing import PLANTED

SECRET = "the internal secret of this very platform"  # pragma: allowlist secret
PASSWORD = "a-password-of-the-database"  # pragma: allowlist secret
KEY = "0123456789abcdef0123456789abcdef"  # pragma: allowlist secret


class Receiver(ThreadingHTTPServer):
    """What Sentry would be: it keeps every envelope."""

    def __init__(self) -> None:
        self.envelopes: list[str] = []
        super().__init__(("127.0.0.1", 0), Receiving)

    @property
    def dsn(self) -> str:
        return f"http://{KEY}@127.0.0.1:{self.server_port}/1"

    def events(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for envelope in self.envelopes for line in envelope.splitlines()]
        return [line for line in lines if "event_id" in line and "platform" in line]


class Receiving(BaseHTTPRequestHandler):
    """Takes envelopes."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        assert isinstance(self.server, Receiver)
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.envelopes.append(body.decode())
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Say nothing."""


@pytest.fixture
def receiver() -> Generator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@contextmanager
def crashing_service(dsn: str) -> Generator[httpx.Client]:
    """The throw-away service as a process; its database is away."""
    port, nobody = free_ports(2)
    environment = {
        "PATH": os.environ["PATH"],
        "CLAWDEPLOY_PORT": str(port),
        "CLAWDEPLOY_DATABASE_URL": f"postgresql://monitor:{PASSWORD}@127.0.0.1:{nobody}/x",
        "CLAWDEPLOY_DATABASE_WEB_URL": f"postgresql://monitor_web:{PASSWORD}@127.0.0.1:{nobody}/x",
        "CLAWDEPLOY_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{nobody}",
        "CLAWDEPLOY_INTERNAL_SECRET": SECRET,
        "SENTRY_DSN": dsn,
    }
    command = [sys.executable, "-W", "error", "-m", "tests.integration.machinery.throwaway.crashing"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
        try:
            _until_alive(http, process)
            yield http
        finally:
            process.terminate()
            assert process.wait(20) == -signal.SIGTERM


def _until_alive(http: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            http.get("/healthz").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the service did not come up")


def test_a_crash_is_told_to_sentry_without_any_secret(receiver: Receiver) -> None:
    """INVARIANT: no secret is in a report: neither what the service was given, nor what looks like one, nor a local variable."""
    with crashing_service(receiver.dsn) as http:
        assert http.get("/crash").status_code == 500
    [event] = receiver.events()  # the service has ended, and sent what was waiting
    assert event["transaction"] == "request.crashed"
    assert event["tags"] == {"service": "monitor"}
    assert event["contexts"]["fields"]["path"] == "/crash"
    told = [(value["type"], value["value"]) for value in event["exception"]["values"]]
    assert told == [
        ("ValidationError", "[redacted]"),
        ("RuntimeError", "signed with [redacted], sent with Bearer [redacted]"),
    ]
    everything = "".join(receiver.envelopes)
    assert "test_reporting" not in everything
    for secret in (SECRET, PASSWORD, PLANTED, "abcdefghijklmnop"):
        assert secret not in everything
    assert '"vars"' not in everything
    assert not event.get("breadcrumbs", {}).get("values")


def test_without_a_dsn_the_service_answers_the_same(receiver: Receiver) -> None:
    with crashing_service("") as http:
        assert http.get("/crash").status_code == 500
    assert receiver.envelopes == []


def test_the_services_load_the_sdk_only_when_they_were_given_a_dsn() -> None:
    services = ", ".join(f"clawdeploy_{name}.main" for name in ("api", "provisioner", "monitor", "billing"))
    code = f"import sys, {services}; sys.exit('sentry_sdk' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

"""Debian's Prometheus: promtool, and a server of a test's own."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from clawdeploy_cli.engines.leash import leashed
from tests.engines.ports import free_ports
from tests.engines.process import EngineProcess
from tests.engines.requirements import lacking

INFRA = Path(__file__).parents[2] / "infra"


def require_prometheus() -> None:
    """Install Debian's package when it is missing and we may; else the test ends as one that lacks something."""
    if shutil.which("prometheus") and shutil.which("promtool"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        lacking("needs Prometheus: apt-get install prometheus")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    policy = Path("/usr/sbin/policy-rc.d")  # the package would start a server of its own
    forbidden = not policy.exists()
    if forbidden:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "prometheus"]):
            subprocess.run(
                [*command, *(["--no-install-recommends"] if "install" in command else [])],
                env=environment,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                timeout=240,
            )
    finally:
        if forbidden:
            policy.unlink()
    if not shutil.which("promtool"):
        lacking("needs Prometheus, and apt-get could not install it")


def promtool(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run promtool to its end."""
    command = ["promtool", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)


class Prometheus:
    """A server on the repository's own configuration, made quicker, that scrapes ``targets`` (name to host:port)."""

    def __init__(self, folder: Path, *, token: str) -> None:
        self.folder = folder
        shutil.copytree(INFRA / "prometheus", folder)
        (folder / "metrics-token").write_text(token)
        (folder / "targets").mkdir(exist_ok=True)
        self.config = folder / "prometheus.yml"
        self.config.write_text(self.config.read_text().replace(": 15s", ": 1s").replace(": 30s", ": 1s"))
        [self._port] = free_ports(1)
        self._process = EngineProcess(log=folder / "prometheus.log")
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{self._port}")

    def watch(self, targets: Mapping[str, str]) -> None:
        """Write who is scraped."""
        groups = [f'{{"targets": ["{at}"], "labels": {{"service": "{name}"}}}}' for name, at in targets.items()]
        (self.folder / "targets" / "services.json").write_text(f"[{', '.join(groups)}]")

    def start(self) -> None:
        """Start it."""
        options = [f"--config.file={self.config}", f"--storage.tsdb.path={self.folder}/data"]
        listen = f"--web.listen-address=127.0.0.1:{self._port}"
        self._process.start(leashed(["prometheus", *options, listen]), environment=dict(os.environ))

    def stop(self) -> None:
        """End it."""
        self._http.close()
        self._process.kill()

    def ask(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API; an error when it could not be answered."""
        answer = self._http.get(f"/api/v1/{path}", params=parameters).json()
        assert answer["status"] == "success", (parameters, answer)
        return answer["data"]

    def query(self, expression: str) -> list[Any]:
        """The samples of an instant query."""
        return self.ask("query", query=expression)["result"]

"""The services' images, really built and started as `docker-compose.yml` says, on a real PostgreSQL and a real Kafka."""

import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from tests.engines.compose import CHECKOUT, document, interpolated, made_environment
from tests.engines.ports import free_ports
from tests.engines.wheels import RunningPostgres

pytestmark = pytest.mark.long

SERVICES = ("provisioner", "monitor", "billing", "api")
BASES = ("python:3.11-slim-bookworm", "debian:bookworm-slim", "clawdeploy/debian:bookworm")
OWN_AUTHORITIES = Path("/usr/local/share/ca-certificates")


@dataclass(frozen=True)
class Engine:
    """The run's Docker engine, and one platform's containers on it."""

    url: str
    mark: str

    def docker(self, *arguments: str, check: bool = True, **options: Any) -> str:
        command = ["docker", "-H", self.url, *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, **options)
        assert not check or done.returncode == 0, f"{arguments[:3]}: {done.stdout[-1500:]}{done.stderr[-1500:]}"
        return done.stdout.strip()

    def image(self, service: str) -> str:
        return f"clawdeploy-tests/{service}:{self.mark}"

    def name(self, service: str) -> str:
        return f"{self.mark}-{service}"

    def inspect(self, service: str) -> dict[str, Any]:
        return json.loads(self.docker("inspect", self.name(service)))[0]

    def run(self, service: str, described: dict[str, Any], *, detached: bool) -> None:
        """`docker run` with what the file says of a service."""
        arguments = ["run", "--name", self.name(service), *(["-d"] if detached else [])]
        arguments += [f"--network={described['network_mode']}", *(["--read-only"] if described["read_only"] else [])]
        arguments += [f"--tmpfs={each}" for each in described["tmpfs"]]
        arguments += [f"--cap-drop={each}" for each in described["cap_drop"]]
        arguments += [f"--security-opt={each}" for each in described["security_opt"]]
        arguments += [f"--group-add={each}" for each in described.get("group_add", [])]
        arguments += [f"--volume={self._own(each)}" for each in described.get("volumes", [])]
        arguments += [part for name in described["environment"] for part in ("--env", name)]
        values = {name: str(value) for name, value in described["environment"].items()}
        self.docker(*arguments, self.image(service), *described.get("command", []), env={**_of_the_machine(), **values})

    def _own(self, volume: str) -> str:
        return volume if volume.startswith("/") else f"{self.mark}-{volume}"

    def remove(self) -> None:
        for kind, remove in (("ps -aq", "rm -f"), ("volume ls -q", "volume rm"), ("images -q", "rmi -f")):
            chosen = f"name={self.mark}" if kind != "images -q" else f"reference=clawdeploy-tests/*:{self.mark}"
            if found := self.docker(*kind.split(), "--filter", chosen).split():
                self.docker(*remove.split(), *found, check=False)


@pytest.fixture(scope="module")
def engine(docker_url: str) -> Generator[Engine]:
    engine = Engine(url=docker_url, mark=f"images-{uuid4().hex[:8]}")
    try:
        yield engine
    finally:
        engine.remove()


@pytest.fixture(scope="module")
def built(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Every image, built from what git knows of this checkout."""
    context = tmp_path_factory.mktemp("context") / "context.tar"
    listed = ["git", "ls-files", "-z", "infra/images", "libs", "services", "requirements.lock"]
    files = subprocess.run(listed, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout.split("\0")
    with tarfile.open(context, "w", format=tarfile.GNU_FORMAT) as tar:
        for file in filter(None, files):
            tar.add(CHECKOUT / file, file)
        for authority in OWN_AUTHORITIES.glob("*.crt"):
            tar.add(authority, f"infra/images/certificates/{authority.name}")
    known = engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    [base, *_] = [base for base in BASES if base in known]
    for member in (*SERVICES, "cli"):
        arguments = ["--build-arg", f"SERVICE={member}", "--build-arg", f"BASE={base}", "-t", engine.image(member)]
        with context.open("rb") as tar:
            engine.docker("build", "-q", "-f", "infra/images/Dockerfile", *arguments, "-", stdin=tar)
    return engine


@pytest.fixture
def variables(built: Engine, own_postgres: RunningPostgres, kafka: str, tmp_path: Path) -> dict[str, str]:
    """What `.env` says: what `make-env.sh` made, and where this test's engines are."""
    socket = urlsplit(built.url).path
    ports = dict(zip(("GATEWAY", "PROVISIONER", "MONITOR", "BILLING"), free_ports(4), strict=True))
    admin = urlsplit(own_postgres.admin_url)
    return {
        **made_environment(tmp_path),
        **{f"{name}_PORT": str(port) for name, port in ports.items()},
        "POSTGRES_PORT": str(admin.port),
        "POSTGRES_PASSWORD": admin.password or "",
        "KAFKA_PORT": kafka.rpartition(":")[2],
        "DOCKER_SOCKET": socket,
        "DOCKER_GID": str(Path(socket).stat().st_gid),
    }


@pytest.mark.timeout(900)
async def test_the_images_run_as_the_compose_file_says(built: Engine, variables: dict[str, str]) -> None:
    described = interpolated(document()["services"], variables)
    built.run("cli", described["database"], detached=False)
    for service in SERVICES:
        built.run(service, described[service], detached=True)
    for service in SERVICES:
        _healthy(built, service)
        state = built.inspect(service)
        assert state["Config"]["User"] == "10001:10001"
        assert state["HostConfig"]["ReadonlyRootfs"]
        assert variables["ENCRYPTION_KEY"] not in json.dumps(state) or service == "provisioner"

    headers = {"Authorization": f"Bearer {variables['CLAWDEPLOY_BOOTSTRAP_API_KEY']}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{variables['GATEWAY_PORT']}", headers=headers) as http:
        assert (await http.get("/v1/me")).json()["role"] == "admin"
        assert (await http.get("/api/health")).json()["docker"] == "connected"
        providers = (await http.get("/v1/catalogue/providers")).json()["items"]
        assert [provider["id"] for provider in providers] == ["docker"]

    for service in SERVICES:
        built.docker("stop", "-t", "30", built.name(service))
        assert built.inspect(service)["State"]["ExitCode"] == 0, service


def _healthy(engine: Engine, service: str) -> None:
    """Wait until the image's own HEALTHCHECK says so."""
    deadline = time.monotonic() + 180
    while (state := engine.inspect(service)["State"])["Health"]["Status"] != "healthy":
        log = engine.docker("logs", "--tail", "20", engine.name(service), check=False)
        assert state["Running"], f"{service} ended: {log}"
        assert time.monotonic() < deadline, f"{service} is {state['Health']}: {log}"
        time.sleep(1)


def _of_the_machine() -> dict[str, str]:
    docker = shutil.which("docker") or "docker"
    return {"PATH": f"{Path(docker).parent}:{os.environ['PATH']}", "HOME": os.environ.get("HOME", "/")}

"""A Docker engine for the run: the machine's own when one answers, else Debian's, started here; and the images the tests use.

An engine of ours keeps its data under ``build/``, so that images are made once per checkout.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from clawdeploy_cli.engines.leash import leashed
from clawdeploy_cli.engines.readiness import wait_until_ready
from clawdeploy_provisioner.openclaw.version import OPENCLAW_VERSION
from tests.engines.process import EngineProcess
from tests.engines.requirements import MissingOnThisMachine

CHECKOUT = Path(__file__).parents[2]
TOOLS = Path(os.environ.get("CLAWDEPLOY_TEST_TOOLS_DIR") or CHECKOUT / "build" / "test-tools")
DATA = CHECKOUT / "build" / "docker"
MACHINES_OWN = Path("/var/run/docker.sock")

OPENCLAW_IMAGE = f"clawdeploy/openclaw:{OPENCLAW_VERSION}"
NODE_IMAGE = "clawdeploy/node:tests"
LIGHT_IMAGE = "clawdeploy/light-gateway:tests"
WEB_IMAGE = "clawdeploy/light-web:tests"
_READY_SECONDS = 60


class DockerEngine:
    """The engine at ``url``; ``process`` is set when it is ours.

    Raises:
        MissingOnThisMachine: none runs, and none can be started.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.process: EngineProcess | None = None
        self.url = f"unix://{MACHINES_OWN}"
        if MACHINES_OWN.exists() and self._answers():
            return
        if os.geteuid() != 0:
            raise MissingOnThisMachine("needs a Docker engine; as root the suite starts one")
        if shutil.which("dockerd") is None or shutil.which("docker") is None:
            raise MissingOnThisMachine("needs a Docker engine: apt-get install docker.io")
        self.url = f"unix://{folder / 'docker.sock'}"

    async def start(self) -> None:
        """Start ours, unless the machine has one."""
        if self.url == f"unix://{MACHINES_OWN}":
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        DATA.mkdir(parents=True, exist_ok=True)
        self.process = EngineProcess(log=self._folder / "dockerd.log")
        places = {"data-root": DATA, "exec-root": self._folder / "exec", "pidfile": self._folder / "pid"}
        command = ["dockerd", "-H", self.url, *(f"--{name}={place}" for name, place in places.items())]
        self.process.start(leashed(command), environment=dict(os.environ))

        async def is_ready() -> bool:
            return self._answers()

        try:
            await wait_until_ready("Docker", is_ready, seconds=_READY_SECONDS)
        except Exception as error:
            raise MissingOnThisMachine(f"dockerd does not start here: {self.process.last_lines(5)}") from error

    def stop(self) -> None:
        """End ours; its containers end with it."""
        if self.process is not None:
            self.process.stop(signal.SIGTERM, seconds=30)

    def make_openclaw_image(self) -> str:
        """The image of ``make openclaw-image``."""
        self._build(TAG=OPENCLAW_IMAGE)
        return OPENCLAW_IMAGE

    def make_light_images(self) -> None:
        """Images of some megabytes over a base of Debian and Node: a gateway in small, and a web server alone."""
        self._build(TAG=NODE_IMAGE, TARGET="node")
        folder = str(CHECKOUT / "tests" / "light" / "image")
        for target, tag in (("gateway", LIGHT_IMAGE), ("web", WEB_IMAGE)):
            self._docker("build", "-q", "--build-arg", f"BASE={NODE_IMAGE}", "--target", target, "-t", tag, folder)

    def _build(self, **settings: str) -> None:
        environment = {**os.environ, "DOCKER_HOST": self.url, "TOOLS": str(TOOLS), **settings}
        command = [str(CHECKOUT / "infra" / "openclaw" / "build.sh")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise MissingOnThisMachine(f"the image cannot be made here: {(done.stdout + done.stderr)[-600:]}")

    def _docker(self, *command: str) -> None:
        subprocess.run(["docker", "-H", self.url, *command], capture_output=True, check=True)

    def _answers(self) -> bool:
        command = ["docker", "-H", self.url, "version", "-f", "{{.Server.Version}}"]
        return (
            shutil.which("docker") is not None
            and not subprocess.run(command, capture_output=True, check=False).returncode
        )

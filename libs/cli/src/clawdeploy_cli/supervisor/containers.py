"""The containers of a home, its agents' and its emulated servers': on a Docker engine, so that they would live on without the platform."""

import shutil
import subprocess
import sys
from typing import Literal

from clawdeploy_cli.home import Home
from clawdeploy_cli.settings import CLOUDS, load_settings
from clawdeploy_cli.supervisor.environment import base_environment
from clawdeploy_cli.supervisor.logs import open_log

LEAVE_MODULE = "clawdeploy_provisioner.providers.docker.leave"
LEAVE_MACHINES_MODULE = "clawdeploy_emulators.machines.leave"
LEAVE_WITHIN_S = 120.0


def park_containers(home: Home) -> bool:
    """Stop them all, to come back with the next start; True when nothing is left to do. Call it when no provisioner runs."""
    return _leave(home, "park")


def remove_containers(home: Home) -> bool:
    """Remove them all with their state, emulated servers too; False when an engine did not answer."""
    return _leave(home, "remove") and _leave_machines(home)


def _leave(home: Home, verb: Literal["park", "remove"]) -> bool:
    """The provider does it, because it knows what belongs to an agent; where none was ever made, nothing is asked."""
    made = home.instances / "docker" / "servers"
    if not made.is_dir() or not any(made.iterdir()):
        return True
    hosts = {name: value for name, value in load_settings().tuning.items() if name == "CLAWDEPLOY_DOCKER_HOSTS"}
    more = {**hosts, "CLAWDEPLOY_INSTANCES_DIR": str(home.instances)}
    return _finished(home, [LEAVE_MODULE, verb], more, log="provisioner.log")


def _leave_machines(home: Home) -> bool:
    """What the stand-ins of clouds left."""
    settings = load_settings()
    states = [home.stand_in / f"{name}.sqlite" for name in CLOUDS]
    made = [str(state) for state in states if state.exists()]
    if not made or settings.emulated_machines == "hollow":
        return True
    return _finished(home, [LEAVE_MACHINES_MODULE, "--docker", settings.docker, *made], {}, log="machines.log")


def lacks_engine(url: str) -> bool:
    """Whether no Docker engine answers at ``url``."""
    if shutil.which("docker") is None:
        return True
    asked = ["docker", "-H", url, "version", "-f", "{{.Server.Version}}"]
    return subprocess.run(asked, capture_output=True, check=False).returncode != 0  # noqa: S603 - an address of the settings


def _finished(home: Home, command: list[str], more: dict[str, str], *, log: str) -> bool:
    home.logs.mkdir(parents=True, exist_ok=True)
    with open(open_log(home.logs / log), "ab") as output:  # noqa: PTH123 - a descriptor
        try:
            finished = subprocess.run(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", *command],
                env={**base_environment(home), **more},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=LEAVE_WITHIN_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    return finished.returncode == 0

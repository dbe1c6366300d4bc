"""The containers of a home's agents: on a Docker engine, so that they would live on without the platform."""

import subprocess
import sys
from typing import Literal

from clawdeploy_cli.home import Home
from clawdeploy_cli.settings import load_settings
from clawdeploy_cli.supervisor.environment import base_environment
from clawdeploy_cli.supervisor.logs import open_log

LEAVE_MODULE = "clawdeploy_provisioner.providers.docker.leave"
LEAVE_WITHIN_S = 120.0


def park_containers(home: Home) -> bool:
    """Stop them all, to come back with the next start; True when nothing is left to do. Call it when no provisioner runs."""
    return _leave(home, "park")


def remove_containers(home: Home) -> bool:
    """Remove them all with their state; False when an engine did not answer."""
    return _leave(home, "remove")


def _leave(home: Home, verb: Literal["park", "remove"]) -> bool:
    """The provider does it, because it knows what belongs to an agent; where none was ever made, nothing is asked."""
    made = home.instances / "docker" / "servers"
    if not made.is_dir() or not any(made.iterdir()):
        return True
    hosts = {name: value for name, value in load_settings().tuning.items() if name == "CLAWDEPLOY_DOCKER_HOSTS"}
    home.logs.mkdir(parents=True, exist_ok=True)
    with open(open_log(home.logs / "provisioner.log"), "ab") as log:  # noqa: PTH123 - a descriptor
        try:
            finished = subprocess.run(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", LEAVE_MODULE, verb],
                env={**base_environment(home), **hosts, "CLAWDEPLOY_INSTANCES_DIR": str(home.instances)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=LEAVE_WITHIN_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    return finished.returncode == 0

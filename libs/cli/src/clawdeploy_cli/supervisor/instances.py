"""The OpenClaw processes of a home: detached from the provisioner, found by the marker in their environment."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from clawdeploy_cli.home import Home
from clawdeploy_cli.processes import ProcessIdentity, environments, identify, stop_all
from clawdeploy_cli.supervisor.containers import park_containers
from clawdeploy_cli.supervisor.environment import base_environment
from clawdeploy_cli.supervisor.logs import open_log

MARKER = "CLAWDEPLOY_SERVER_ID"
PARK_MODULE = "clawdeploy_provisioner.providers.process.park"
PARK_WITHIN_S = 45.0
GRACE_S = (
    5.0  # OpenClaw takes 325 s when a channel is unreachable; it recovers an interrupted session at its next start
)


def park_instances(home: Home) -> int:
    """Stop every agent of this home in a way that they come back with the next start; answers how many processes there were.

    Call it when no provisioner runs. The provider does it, because it knows what belongs to an agent and remembers that nobody
    asked for the stop; whatever it leaves (or all, should it fail) is ended here.
    """
    park_containers(home)
    found = find_instances(home.instances)
    if found:
        _let_provider_park(home)
        stop_instances(home.instances)
    return len(found)


def find_instances(instances_dir: Path) -> list[ProcessIdentity]:
    """Every process that carries the marker and lives below this home's instances folder, and what those started."""
    roots = [pid for pid, environment in environments() if _belongs(environment, instances_dir)]
    pids = dict.fromkeys([*roots, *(child for pid in roots for child in _descendants(pid))])
    return [identity for pid in pids if (identity := identify(pid)) is not None]


def stop_instances(instances_dir: Path) -> int:
    """Stop them all (TERM, KILL after five seconds); answers how many processes there were."""
    found = find_instances(instances_dir)
    if found:
        stop_all(found, grace_s=GRACE_S)
        stop_all(find_instances(instances_dir), grace_s=GRACE_S)  # a helper started meanwhile
    return len(found)


def _let_provider_park(home: Home) -> None:
    directories = {"CLAWDEPLOY_INSTANCES_DIR": str(home.instances), "CLAWDEPLOY_TOOLS_DIR": str(home.tools)}
    with open(open_log(home.logs / "provisioner.log"), "ab") as log, suppress(subprocess.TimeoutExpired):  # noqa: PTH123 - a descriptor
        subprocess.run(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", PARK_MODULE],
            env={**base_environment(home), **directories},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            timeout=PARK_WITHIN_S,
            check=False,
        )


def _belongs(environment: dict[str, str], instances_dir: Path) -> bool:
    if MARKER not in environment:
        return False
    inside = f"{instances_dir}/"
    return any(value.startswith(inside) for value in environment.values())


def _descendants(pid: int) -> list[int]:
    with suppress(psutil.Error):
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return []

"""The OpenClaw processes of a home: detached from the provisioner, found by the marker in their environment."""

from pathlib import Path

from clawdeploy_cli.processes import ProcessIdentity, environments, identify, stop_all

MARKER = "CLAWDEPLOY_SERVER_ID"
GRACE_S = (
    5.0  # OpenClaw takes 325 s when a channel is unreachable; it recovers an interrupted session at its next start
)


def find_instances(instances_dir: Path) -> list[ProcessIdentity]:
    """Every process, of any user we may look at, that carries the marker and lives below this home's instances folder."""
    pids = (pid for pid, environment in environments() if _belongs(environment, instances_dir))
    return [identity for pid in pids if (identity := identify(pid)) is not None]


def stop_instances(instances_dir: Path) -> int:
    """Stop them all (TERM, KILL after five seconds); answers how many there were. Call it when no provisioner runs."""
    found = find_instances(instances_dir)
    if found:
        stop_all(found, grace_s=GRACE_S)
        stop_all(find_instances(instances_dir), grace_s=GRACE_S)  # a helper started meanwhile
    return len(found)


def _belongs(environment: dict[str, str], instances_dir: Path) -> bool:
    if MARKER not in environment:
        return False
    inside = f"{instances_dir}/"
    return any(value.startswith(inside) for value in environment.values())

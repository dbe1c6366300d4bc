"""The container of a cell, hardened as ``openclaw fleet`` hardens its own: what the engine is asked to create."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clawdeploy_provisioner.openclaw.environment import stay_inside
from clawdeploy_provisioner.providers.docker.anchor import Anchor
from clawdeploy_provisioner.providers.docker.profiles import OPENCLAW, PROFILE_LABEL, Profile
from clawdeploy_provisioner.providers.docker.record import ENVIRONMENT, FOLDER

Json = dict[str, Any]

HOME = Path("/home/node")
STATE = HOME / ".openclaw"
WORKSPACE = STATE / "workspace"
OWN_LOG = STATE / "gateway.log"
AGENT_UID = 1000
_PIDS = 512
_LOG_SIZE, _LOGS_KEPT = "5m", "3"
_STOP_SECONDS = 30


def command_of(*arguments: str) -> list[str]:
    """argv of ``openclaw ARGUMENTS`` in a cell; the image's working directory is the package, in ours and in the official one."""
    return ["node", f"--env-file-if-exists={FOLDER}/{ENVIRONMENT}", "openclaw.mjs", *arguments]


def environment_of() -> dict[str, str]:
    """What is no secret: where OpenClaw's files lie, and that it is watched over by others."""
    return stay_inside(home=HOME, state=STATE) | {"OPENCLAW_WORKSPACE_DIR": str(WORKSPACE)}


def container_of(anchor: Anchor, profile: Profile, *, image: str, port: int, publish: str, cpus: int) -> Json:
    """The arguments of the SDK's ``create_container_from_config``: one cell, published on ``publish``:``port``.

    An engine refuses a limit above the ``cpus`` it has, so a larger plan gets them all.
    """
    exposed = f"{profile.port}/tcp"
    config: Json = _program(profile) | {
        "Image": image,
        "Labels": anchor.labels(port=port) | {PROFILE_LABEL: profile.name},
        "ExposedPorts": {exposed: {}},
        "StopTimeout": _STOP_SECONDS,
    }
    config["HostConfig"] = _limits(anchor, profile) | {
        "NanoCpus": min(profile.cpu_millis or anchor.cpu_millis, cpus * 1000) * 1_000_000,
        "Binds": [f"{anchor.state}:{STATE}", f"{anchor.secrets}:{FOLDER}"],
        "NetworkMode": anchor.bridge,
        "PortBindings": {exposed: [{"HostIp": publish, "HostPort": str(port)}]},
        "RestartPolicy": {"Name": "unless-stopped"},
    }
    return config


def task_of(anchor: Anchor, arguments: list[str], *, image: str, network: str, with_state: bool) -> Json:
    """A container that runs one command of OpenClaw and ends: a check, or the installation of a plugin.

    Somebody waits for it, so it may use every CPU.
    """
    config = _program(OPENCLAW) | {
        "Image": image,
        "Labels": anchor.labels(role="task"),
        "Entrypoint": command_of(*arguments),
    }
    config["HostConfig"] = _limits(anchor, OPENCLAW) | {
        "Binds": [f"{anchor.state}:{STATE}"] if with_state else [],
        "NetworkMode": network,
    }
    return config


def _program(profile: Profile) -> Json:
    if not profile.is_openclaw:
        return {}
    environment: Mapping[str, str] = environment_of()
    return {
        "User": profile.user,
        "Entrypoint": command_of("gateway", "run"),
        "Cmd": [],
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "Healthcheck": {"Test": ["NONE"]},  # the platform's own probes tell more, and a Node every minute costs
    }


def _limits(anchor: Anchor, profile: Profile) -> Json:
    memory = (profile.memory_mb or anchor.memory_mb) * 1_048_576
    return {
        "Memory": memory,
        "MemorySwap": memory,
        "PidsLimit": _PIDS,
        "CapDrop": ["ALL"],
        "CapAdd": list(profile.capabilities),
        "SecurityOpt": ["no-new-privileges"],
        "Init": True,
        "LogConfig": {"Type": "json-file", "Config": {"max-size": _LOG_SIZE, "max-file": _LOGS_KEPT}},
    }

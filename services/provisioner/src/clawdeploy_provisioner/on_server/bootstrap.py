"""Makes a fresh Ubuntu or Debian server ready for OpenClaw: run by cloud-init as root, safe to run again.

The standard library only, Python 3.10 or newer. Its values come from /etc/clawdeploy/bootstrap.json; nothing passes through a shell.
"""

import hashlib
import json
import os
import platform
import subprocess
import tarfile
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

VALUES = Path("/etc/clawdeploy/bootstrap.json")
PROGRESS = Path("/var/lib/clawdeploy-agent/progress")
AGENT = Path("/opt/clawdeploy/agent.py")
NODE = Path("/opt/node")
OPENCLAW = Path("/opt/openclaw")
STATE = Path("/var/lib/openclaw/.openclaw")
ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64"}


def main() -> None:
    """Every step looks first whether it is done."""
    values: dict[str, Any] = json.loads(VALUES.read_text())
    say("Setting up the server")
    firewall(values["open_ports"])
    STATE.mkdir(parents=True, exist_ok=True)
    run("chown", "-R", "openclaw:openclaw", "/var/lib/openclaw")
    agent(values["agent_url"], values["agent_sha256"])
    say("Installing Node")
    node(values["node_version"])
    say("Installing OpenClaw (about a minute)")
    openclaw(values["openclaw_version"])
    run("systemctl", "enable", "openclaw.service")
    say("Installed")


def firewall(ports: list[int]) -> None:
    """Deny what comes in, save these ports."""
    run("ufw", "default", "deny", "incoming")
    run("ufw", "default", "allow", "outgoing")
    for port in ports:
        run("ufw", "allow", f"{port}/tcp")
    run("ufw", "--force", "enable")


def agent(url: str, sha256: str) -> None:
    """Fetch the agent and compare it with what the platform named; it reports from now on."""
    if not AGENT.exists() or digest(AGENT.read_bytes()) != sha256:
        content = fetched(url)
        if digest(content) != sha256:
            raise SystemExit("the agent's program is not the one that was promised")
        temporary = AGENT.with_suffix(".new")
        temporary.write_bytes(content)
        temporary.replace(AGENT)
    run("systemctl", "daemon-reload")
    run("systemctl", "enable", "--now", "clawdeploy-agent.service")


def node(version: str) -> None:
    """Node's own build of this version, checked against Node's list of hashes."""
    if (NODE / f"v{version}").exists():
        return
    name = f"node-v{version}-linux-{ARCHITECTURES[platform.machine()]}"
    base = f"https://nodejs.org/dist/v{version}"
    sums = {
        file: sha for sha, file in (line.split() for line in fetched(f"{base}/SHASUMS256.txt").decode().splitlines())
    }
    archive = fetched(f"{base}/{name}.tar.gz")
    if digest(archive) != sums[f"{name}.tar.gz"]:
        raise SystemExit("Node's archive is damaged")
    NODE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=NODE) as folder:
        file = Path(folder) / "node.tar.gz"
        file.write_bytes(archive)
        with tarfile.open(file) as content:
            content.extractall(folder)  # noqa: S202 - checked against its hash above
        (Path(folder) / name).rename(NODE / f"v{version}")
    for program in ("node", "npm", "npx"):
        link(Path("/usr/local/bin") / program, NODE / f"v{version}" / "bin" / program)


def openclaw(version: str) -> None:
    """The pinned version: without one, npm may choose a placeholder."""
    home = OPENCLAW / version
    program = home / "node_modules" / ".bin" / "openclaw"
    if not program.exists():
        home.mkdir(parents=True, exist_ok=True)
        run("npm", "install", "--prefix", str(home), "--no-audit", "--no-fund", f"openclaw@{version}")
    link(Path("/usr/local/bin/openclaw"), program)


def link(path: Path, target: Path) -> None:
    """Point a link at its target, replacing an older one."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(path)


def fetched(url: str) -> bytes:
    """What is at an address."""
    with urllib.request.urlopen(url, timeout=120) as response:  # noqa: S310 - the platform's and Node's own addresses
        return bytes(response.read())


def digest(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


def say(sentence: str) -> None:
    """The agent tells it to the control plane."""
    PROGRESS.parent.mkdir(parents=True, exist_ok=True)
    PROGRESS.write_text(sentence)


def run(*argv: str) -> None:
    """Run a program; its failure is ours."""
    environment = {
        **os.environ,
        "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "DEBIAN_FRONTEND": "noninteractive",
    }
    subprocess.run(argv, check=True, env=environment)  # noqa: S603 - argv, no shell


if __name__ == "__main__":
    main()

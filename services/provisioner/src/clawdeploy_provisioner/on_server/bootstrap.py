"""Makes a fresh Ubuntu or Debian server ready for OpenClaw: run by systemd as root at every boot, until it has ended well.

The standard library only, Python 3.10 or newer. Its values come from /etc/clawdeploy/bootstrap.json; nothing passes through a shell.
What is done already is left as it is: a second run writes nothing and restarts nothing.
"""

import hashlib
import json
import os
import platform
import pwd
import shutil
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
USER = "openclaw"
HOME = Path("/var/lib/openclaw")
SWAP = Path("/swap.img")
FSTAB = Path("/etc/fstab")
ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64"}


def main() -> None:
    """Every step looks first whether it is done; the agent comes early, to tell how far the rest is."""
    values: dict[str, Any] = json.loads(VALUES.read_text())
    packages(values["packages"])
    if values["open_ports"]:
        firewall(values["open_ports"])
    user()
    agent(values["agent_url"], values["agent_sha256"])
    swap(values["swap_mb"])
    node(values["node_version"])
    openclaw(values["openclaw_version"])


def packages(names: list[str]) -> None:
    """What images of clouds may lack."""
    asked = ("dpkg-query", "-W", "-f", "${Package} ${Status}\n", *names)
    lines = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.splitlines()  # noqa: S603 - argv
    missing = [name for name in names if f"{name} install ok installed" not in lines]
    if missing:
        say("Installing packages")
        run("apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", "update")
        run("apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", "install", "--no-install-recommends", *missing)


def firewall(ports: list[int]) -> None:
    """Deny what comes in, save these ports."""
    shown = output("ufw", "status", "verbose")
    open_already = {line.split()[0] for line in shown.splitlines() if " ALLOW IN " in line}
    wanted = {f"{port}/tcp" for port in ports}
    if "deny (incoming), allow (outgoing)" in shown and wanted <= open_already:
        return
    say("Setting up the firewall")
    run("ufw", "default", "deny", "incoming")
    run("ufw", "default", "allow", "outgoing")
    for port in sorted(wanted):
        run("ufw", "allow", port)
    run("ufw", "--force", "enable")


def user() -> None:
    """OpenClaw's own account, which nobody signs in to, and its home that nobody else looks into."""
    try:
        known = pwd.getpwnam(USER)
    except KeyError:
        run("useradd", "--system", "--user-group", "--home-dir", str(HOME), "--shell", "/usr/sbin/nologin", USER)
        known = pwd.getpwnam(USER)
    for folder in (HOME, HOME / ".openclaw", HOME / ".openclaw" / "workspace", HOME / ".openclaw" / "logs"):
        if not folder.exists():
            folder.mkdir(mode=0o700)
            shutil.chown(folder, known.pw_uid, known.pw_gid)


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
        run("systemctl", "enable", "clawdeploy-agent.service")
        run("systemctl", "restart", "clawdeploy-agent.service")
    run("systemctl", "start", "clawdeploy-agent.service")


def swap(megabytes: int) -> None:
    """A file to swap to, on a small machine; a container has its host's."""
    if not megabytes or SWAP.exists() or in_container():
        return
    say("Making room to swap")
    temporary = SWAP.with_suffix(".new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        os.posix_fallocate(file.fileno(), 0, megabytes * 1024**2)
    run("mkswap", str(temporary))
    temporary.replace(SWAP)
    run("swapon", str(SWAP))
    with FSTAB.open("a") as table:
        table.write(f"{SWAP} none swap sw 0 0\n")


def in_container() -> bool:
    """Whether this is no machine of its own."""
    asked = ("systemd-detect-virt", "--container", "--quiet")
    return subprocess.run(asked, check=False).returncode == 0  # noqa: S603 - argv, no shell


def node(version: str) -> None:
    """Node's own build of this version, checked against Node's list of hashes."""
    home = NODE / f"v{version}"
    if not home.exists():
        say(f"Installing Node {version}")
        unpack_node(version, home)
    for program in ("node", "npm", "npx"):
        link(Path("/usr/local/bin") / program, home / "bin" / program)


def unpack_node(version: str, home: Path) -> None:
    """Unpacked beside its place and renamed into it, so that what is there is whole."""
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
        (Path(folder) / name).rename(home)


def openclaw(version: str) -> None:
    """The pinned version: without one, npm may choose a placeholder.

    No package's own scripts are run, save OpenClaw's: it completes its installation at its first start by who may write there.
    """
    home = OPENCLAW / version
    if not home.exists():
        say(f"Installing OpenClaw {version} (about a minute)")
        beside = OPENCLAW / ".new"
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        flags = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")
        run("npm", "install", "--prefix", str(beside), *flags, f"openclaw@{version}")
        run(str(beside / "node_modules" / ".bin" / "openclaw"), "--version")
        beside.rename(home)
    link(Path("/usr/local/bin/openclaw"), home / "node_modules" / ".bin" / "openclaw")


def link(path: Path, target: Path) -> None:
    """Point a link at its target, replacing an older one."""
    if path.is_symlink() and path.readlink() == target:
        return
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


def output(*argv: str) -> str:
    """What a program prints; its failure is ours."""
    finished = subprocess.run(argv, check=True, capture_output=True, text=True, env={**os.environ, "LANG": "C.UTF-8"})  # noqa: S603 - argv, no shell
    return finished.stdout


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

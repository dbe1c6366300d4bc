"""A machine of the operator's own that is a whole machine: a guest's bootstrap over SSH, a real OpenClaw, and afterwards nothing of it."""

import asyncio
import json
import subprocess
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clawdeploy_emulators.cloud.machines import FirstBoot
from clawdeploy_emulators.machines.container import ContainerMachine
from clawdeploy_emulators.machines.engine import Engine
from clawdeploy_emulators.machines.hypervisor import Hypervisor
from clawdeploy_provisioner.on_server.ssh_keys import new_private_key, public_line
from clawdeploy_provisioner.openclaw.version import OPENCLAW_VERSION
from tests.e2e.local import open_folder
from tests.e2e.openclaw import TOOLS
from tests.e2e.test_story import Story

pytestmark = [pytest.mark.story, pytest.mark.long]
ADDRESS = "127.66.77.1"
_DROP_IN = "/etc/systemd/system/clawdeploy-bootstrap.service.d"
_MIRRORED = f"""[Service]
ExecStartPre=/bin/cp -aT /srv/node /opt/node
ExecStartPre=/bin/mkdir -p /opt/openclaw
ExecStartPre=/bin/ln -sfT /srv/openclaw /opt/openclaw/{OPENCLAW_VERSION}
"""
"""The machine's owner has mirrors of nodejs.org and of the npm registry."""
_SHARED = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - on the machine, where everybody may write
_LOOKED_AT = ("/etc", "/opt", "/usr/local", "/home", "/root", "/srv", "/var/lib", "/var/spool", *_SHARED)
_OF_DEBIAN = (
    *("/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-"),
    *("/tmp/systemd-private-", "/var/tmp/systemd-private-", "/var/lib/unattended-upgrades"),  # noqa: S108 - on the machine
)
"""Beginnings of paths: the lists of accounts before the last change of them, what systemd gives its services, apt's timer."""


@dataclass(frozen=True, kw_only=True)
class OwnMachine:
    """A platform and the machine beside it, which is a container."""

    story: Story
    docker: tuple[str, ...]
    key: Path

    async def claw(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command beside this loop, which carries what the machine says to the platform."""
        return await asyncio.to_thread(self.story.claw, *arguments)

    async def on_machine(self, *command: str) -> str:
        """What a command on the machine prints."""
        argv = [*self.docker, *command]
        done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    async def files(self) -> set[str]:
        """What is on it, save what Debian's own programs come and go with."""
        found = await self.on_machine(
            "find",
            *_LOOKED_AT,
            "-xdev",
            "(",
            "-path",
            "/srv/*",
            "-o",
            "-path",
            "/var/lib/*/*",
            ")",
            "-prune",
            "-o",
            "-print",
        )
        return {path for path in found.splitlines() if not path.startswith(_OF_DEBIAN)}

    async def server(self) -> dict[str, Any]:
        listed = await self.claw("servers", "ls", "--json")
        return next(item for item in json.loads(listed.stdout)["items"] if item["kind"] == "own")

    async def until(self, state: str, *, seconds: float = 300) -> None:
        async with asyncio.timeout(seconds):
            while (await self.server())["state"] != state:
                await asyncio.sleep(1)


@pytest.fixture
async def machine(docker_with_machines: str) -> AsyncGenerator[OwnMachine]:
    folder = open_folder()
    story = Story(folder / "story", more={"CLAWDEPLOY_START_SECONDS": "500"})  # whatever else this machine does
    story.within_s = 560
    up = await asyncio.to_thread(story.claw, "up")
    assert up.returncode == 0, up.stderr
    stand_in = await asyncio.to_thread(story.services)
    ports = [story.port, int(stand_in["openrouter-stand-in"]["address"].rpartition(":")[2])]
    key = folder / "key"
    key.write_bytes(new_private_key())
    engine = Engine(docker_with_machines)
    hypervisor = Hypervisor(engine, state_file=folder / "own", ports=ports)
    container = ContainerMachine("nas", hypervisor=hypervisor)
    first = FirstBoot(address=ADDRESS, hostname="nas", public_keys=(public_line(key.read_bytes()),), memory_mb=4096)
    try:
        await container.boot(first)
        name = hypervisor.name_of("nas")
        await engine.run("cp", f"{TOOLS.resolve()}/openclaw-{OPENCLAW_VERSION}", f"{name}:/srv/openclaw")
        await engine.run("exec", name, "mv", "/opt/node", "/srv/node")
        await engine.run("exec", name, "mkdir", "-p", _DROP_IN)
        await engine.run(
            "exec", name, "python3", "-c", f"open({_DROP_IN + '/mirror.conf'!r}, 'w').write({_MIRRORED!r})"
        )
        yield OwnMachine(story=story, docker=("docker", "-H", docker_with_machines, "exec", name), key=key)
    finally:
        cleaned = await asyncio.to_thread(story.claw, "clean", "--yes")
        await container.delete()
        hypervisor.close_ways()
    assert cleaned.returncode == 0


async def test_an_agent_comes_answers_and_leaves_the_machine_as_it_was(machine: OwnMachine) -> None:
    """INVARIANT: an agent is a guest: after it the machine's files, users and units are those of before."""
    await machine.on_machine("sh", "-c", "systemctl is-system-running --wait || true")
    before = await machine.files()
    units, users = ("systemctl", "list-unit-files", "--no-legend"), ("cat", "/etc/passwd", "/etc/group")
    had = [await machine.on_machine(*units), await machine.on_machine(*users)]
    added = await machine.claw(
        "servers", "add", "nas", "--address", ADDRESS, "--key", str(machine.key), "--region", "attic"
    )
    assert added.returncode in (0, 1), added.stderr
    await machine.until("free")
    asked = ("--provider", "own", "--region", "attic", "--model", "gpt-5.2", "--wait")
    done = await machine.claw("deploy", "story", *asked)
    assert done.returncode == 0, done.stderr + done.stdout
    assert await machine.on_machine("systemctl", "is-active", "openclaw") == "active"
    assert (await machine.server())["state"] == "taken"
    said = await machine.claw("chat", "story", "What is 17 + 25?")
    assert "42" in said.stdout, said.stderr
    refused = await machine.claw("servers", "remove", "nas")
    assert refused.returncode == 5
    destroyed = await machine.claw("destroy", "story", "--yes", "--wait")
    assert destroyed.returncode == 0, destroyed.stderr
    await machine.until("free")
    after = await machine.files()
    assert (after - before, before - after) == (set(), set())
    assert [await machine.on_machine(*units), await machine.on_machine(*users)] == had
    assert (await machine.claw("servers", "remove", "nas")).returncode == 0

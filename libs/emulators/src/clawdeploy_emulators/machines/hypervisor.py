"""Where a cloud's machines run: one Docker engine, and the ways from them to this host."""

import asyncio
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from clawdeploy_emulators.cloud.machines import FirstBoot
from clawdeploy_emulators.machines.engine import Engine
from clawdeploy_emulators.machines.image import ensure_image
from clawdeploy_emulators.machines.relay import carry
from clawdeploy_emulators.machines.seed import seed

LABEL = "clawdeploy.machine-of"
_SERVER = "clawdeploy.machine"
_HOST = "emulator.internal"
_WHOLE_MACHINE = (
    *("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--tmpfs", "/run", "--tmpfs", "/run/lock", "-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "--cgroupns", "host"),
    *("-e", "container=docker"),
)


class Hypervisor:
    """Makes the machines of the cloud whose state is in ``state_file``; ``ports`` are those of this host's loopback they may reach.

    What ``tools`` holds of OpenClaw when a machine is made is on that machine already, as on one made from a provider's snapshot.
    """

    def __init__(
        self, engine: Engine, *, state_file: Path, ports: Sequence[int] = (), tools: Path | None = None
    ) -> None:
        self.engine = engine
        self._cloud = label_of(state_file)
        self._ports = ports
        self._tools = tools
        self._making = asyncio.Lock()
        self._image: str | None = None
        self._ways: list[asyncio.Server | None] | None = None

    def name_of(self, server_id: str) -> str:
        """The name of a server's container."""
        return f"{self._cloud}-{server_id}"

    async def create(self, server_id: str, first: FirstBoot) -> None:
        """Make a machine that is off, its seed on its disk. Raises EngineTrouble."""
        name = self.name_of(server_id)
        labels = ("--label", f"{LABEL}={self._cloud}", "--label", f"{_SERVER}={server_id}")
        size = ("--hostname", first.hostname, "--memory", f"{first.memory_mb}m")
        reach = ("--add-host", f"{_HOST}:host-gateway", *(("-p", f"{first.address}:22:22") if first.address else ()))
        await self.engine.run(
            "create", "--name", name, *labels, *size, *reach, *self._snapshot(), *_WHOLE_MACHINE, await self._made()
        )
        disk = seed(first, server_id=server_id, ports=self._ports, environment=os.environ)
        await self.engine.run("cp", "-", f"{name}:/", given=disk)

    def _snapshot(self) -> list[str]:
        """Read-only mounts of each `openclaw-VERSION` in the tools."""
        found = [] if self._tools is None else sorted(self._tools.resolve().glob("openclaw-*"))
        versions = ((folder, folder.name.partition("-")[2]) for folder in found)
        return [word for folder, version in versions for word in ("-v", f"{folder}:/opt/openclaw/{version}:ro")]

    async def keep(self, server_ids: frozenset[str]) -> None:
        """Remove the machines of no such server: of one that was given back just when the stand-in ended."""
        listed = await self.engine.run(
            "ps", "-a", "--filter", f"label={LABEL}={self._cloud}", "--format", f'{{{{.Label "{_SERVER}"}}}}'
        )
        for server_id in set(listed.split()) - server_ids:
            await self.engine.run("rm", "-f", "-v", self.name_of(server_id))

    async def open_ways(self) -> None:
        """Let machines reach the host's ports, unless they do."""
        if self._ways is None:
            self._ways = []
            gateway = await self.engine.run("network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}")
            self._ways = [await carry(gateway, port) for port in self._ports]

    def close_ways(self) -> None:
        """Let them reach nothing any more."""
        for way in self._ways or ():
            if way is not None:
                way.close()
        self._ways = None

    async def _made(self) -> str:
        async with self._making:
            self._image = self._image or await ensure_image(self.engine)
            return self._image


def label_of(state_file: Path) -> str:
    """What tells the machines of one stand-in from those of others on the same engine."""
    return f"clawdeploy-{hashlib.sha256(str(state_file.resolve()).encode()).hexdigest()[:12]}"

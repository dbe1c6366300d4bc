"""The light provider: a folder per server, a tiny detached process per agent, and a book of everything that was ever created."""

import asyncio
import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from clawdeploy_provisioner.kept_state.sieve import sieved
from clawdeploy_provisioner.providers.protocol import (
    Address,
    Bundle,
    Listing,
    Progress,
    Server,
    ServerNotFound,
    ServerSpec,
    ServerState,
)

Hook = Callable[[str], Awaitable[None]]


async def no_hook(_moment: str) -> None:
    """Let everything pass."""


class LightProvider:
    """Keeps nothing in memory; ``hook`` is called with "before VERB" and "after VERB" and may raise, wait or kill.

    A server whose folder somebody removed is listed as GONE when the provider ``remembers`` it, as local ones do, and not at all
    when it does not, as clouds do. ``complete`` is what its listings say of themselves; ``bundles`` is what was written last.
    """

    name = "light"

    def __init__(
        self, root: Path, *, hook: Hook = no_hook, visibility_lag: timedelta = timedelta(0), remembers: bool = True
    ) -> None:
        self._root = root
        self._hook = hook
        self.remembers = remembers
        self.complete = True
        self.never_ready = False
        self.is_openclaw = True
        self.bundles: dict[UUID, Bundle] = {}
        self._spawned: list[subprocess.Popen[bytes]] = []
        self.visibility_lag = visibility_lag
        self.delivery_patience = timedelta(0)
        root.mkdir(parents=True, exist_ok=True)

    @property
    def created(self) -> list[str]:
        """The id of every server that was ever created, in order."""
        book = self._root / "created.log"
        return book.read_text().split() if book.exists() else []

    async def ensure_server(self, spec: ServerSpec) -> Server:
        """Create the folder unless it is there."""
        await self._hook("before ensure_server")
        folder = self.folder_of(spec.server_id)
        if not (folder / "server.json").exists():
            folder.mkdir(exist_ok=True)
            (self._root / f"{spec.server_id}.reserved").touch()
            with (self._root / "created.log").open("a") as book:
                book.write(f"{spec.server_id}\n")
            self._write(
                folder, {"instance_id": str(spec.instance_id), "port": _free_port(), "pid": None, "model": None}
            )
        await self._hook("after ensure_server")
        return self._seen(spec.server_id)

    async def find_server(self, server_id: UUID) -> Server | None:
        """Look for the folder."""
        await self._hook("before find_server")
        return self._seen(server_id) if (self.folder_of(server_id) / "server.json").exists() else None

    async def list_servers(self) -> Listing:
        """Every folder, and what is remembered of removed ones."""
        await self._hook("before list_servers")
        names = {path.parent.name for path in self._root.glob("*/server.json")}
        if self.remembers:
            names |= {path.stem for path in self._root.glob("*.reserved")}
        return Listing(servers=[self._seen(UUID(name)) for name in sorted(names)], complete=self.complete)

    def folder_of(self, server_id: UUID) -> Path:
        """Where a server is, or would be."""
        return self._root / str(server_id)

    def remove_all(self) -> None:
        """End every agent, whatever became of its server."""
        for path in self._root.glob("*/server.json"):
            self.vanish(UUID(path.parent.name))

    def vanish(self, server_id: UUID) -> None:
        """Remove the server as somebody outside the platform would."""
        folder = self.folder_of(server_id)
        _kill(self._read(folder)["pid"])
        shutil.rmtree(folder)

    async def ensure_installed(self, server_id: UUID, progress: Progress, *, channels: Collection[str] = ()) -> None:
        """Nothing is to be installed."""
        await self._hook("before ensure_installed")
        await progress("Nothing is to be installed")

    async def check_configuration(self, server_id: UUID, bundle: Bundle) -> None:
        """Everything is accepted, unless the hook objects."""
        await self._hook("before check_configuration")

    async def write_configuration(self, server_id: UUID, bundle: Bundle) -> None:
        """Keep the model."""
        await self._hook("before write_configuration")
        self.bundles[server_id] = bundle
        folder = self.folder_of(server_id)
        self._write(folder, {**self._read(folder), "model": bundle.config.model})
        await self._hook("after write_configuration")

    async def start(self, server_id: UUID) -> Server:
        """Start the agent unless it runs, detached from whoever starts it."""
        await self._hook("before start")
        folder = self.folder_of(server_id)
        facts = self._read(folder)
        if not _alive(facts["pid"]):
            process = await asyncio.to_thread(self._spawn, folder, facts)
            self._write(folder, {**facts, "pid": process.pid})
            await asyncio.to_thread(_wait_open, facts["port"])
        await self._hook("after start")
        return self._seen(server_id)

    async def stop(self, server_id: UUID, *, drain: bool) -> Server:
        """Kill the agent."""
        await self._hook("before stop")
        folder = self.folder_of(server_id)
        if (folder / "server.json").exists():
            await asyncio.to_thread(_kill, self._read(folder)["pid"])
        await self._hook("after stop")
        return self._seen(server_id)

    async def destroy(self, server_id: UUID) -> None:
        """Kill the agent and remove its folder."""
        await self._hook("before destroy")
        folder = self.folder_of(server_id)
        if (folder / "server.json").exists():
            await asyncio.to_thread(_kill, self._read(folder)["pid"])
            shutil.rmtree(folder)
        (self._root / f"{server_id}.reserved").unlink(missing_ok=True)
        await self._hook("after destroy")

    async def logs(self, server_id: UUID, *, tail: int) -> list[str]:
        """The agent's last lines."""
        log = self.folder_of(server_id) / "log"
        return log.read_text().splitlines()[-tail:] if log.exists() else []

    async def follow_logs(self, server_id: UUID) -> AsyncIterator[str]:
        """New lines every tenth of a second."""
        log = self.folder_of(server_id) / "log"
        known = len(log.read_text().splitlines())
        while log.exists():
            lines = log.read_text().splitlines()
            for line in lines[known:]:
                yield line
            known = len(lines)
            await asyncio.sleep(0.1)

    async def observe(self, server_id: UUID) -> Server | None:
        """The server now."""
        await self._hook("before observe")
        return self._seen(server_id) if (self.folder_of(server_id) / "server.json").exists() else None

    def workspace_of(self, server_id: UUID) -> Path:
        """The agent's files."""
        folder = self.folder_of(server_id) / "state" / "workspace"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    async def state_size(self, server_id: UUID) -> int:
        """The sizes of the files."""
        await self._hook("before state_size")
        return sum(path.stat().st_size for path in self.workspace_of(server_id).rglob("*") if path.is_file())

    async def read_state(self, server_id: UUID) -> AsyncGenerator[bytes]:
        """The folder's tar; the agent must stand still."""
        await self._hook("before read_state")
        assert not _alive(self._read(self.folder_of(server_id))["pid"])
        self.workspace_of(server_id)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.add(self.folder_of(server_id) / "state", arcname=".")
        packed.seek(0)
        for chunk in sieved(iter(lambda: packed.read(65_536), b"")):
            yield chunk
            await self._hook("in the middle of read_state")
        await self._hook("after read_state")

    async def write_state(self, server_id: UUID, chunks: AsyncIterator[bytes]) -> None:
        """Unpack it; nothing may run."""
        await self._hook("before write_state")
        assert not _alive(self._read(self.folder_of(server_id))["pid"])
        packed = io.BytesIO()
        async for chunk in chunks:
            packed.write(chunk)
            await self._hook("in the middle of write_state")
        packed.seek(0)
        with tarfile.open(fileobj=packed) as tar:
            tar.extractall(self.folder_of(server_id) / "state", filter="data")
        await self._hook("after write_state")

    def _spawn(self, folder: Path, facts: dict[str, Any]) -> "subprocess.Popen[bytes]":
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.light.agent", str(facts["port"]), str(facts["model"])],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                cwd=Path(__file__).parents[2],
            )
        process.returncode = 0  # detached on purpose: nobody waits for it
        self._spawned.append(process)
        return process

    def _seen(self, server_id: UUID) -> Server:
        folder = self.folder_of(server_id)
        if not (folder / "server.json").exists():
            return Server(server_id=server_id, instance_id=None, provider_ref=str(server_id), state=ServerState.GONE)
        facts = self._read(folder)
        alive = _alive(facts["pid"])
        return Server(
            server_id=server_id,
            instance_id=UUID(facts["instance_id"]),
            provider_ref=str(server_id),
            state=ServerState.RUNNING if alive else ServerState.OFF,
            address=Address(host="127.0.0.1", port=facts["port"]),
            started_at=datetime.now(UTC) if alive else None,
            ready=alive and not self.never_ready,
            is_openclaw=self.is_openclaw,
        )

    def _read(self, folder: Path) -> dict[str, Any]:
        try:
            return json.loads((folder / "server.json").read_text())
        except FileNotFoundError as error:
            raise ServerNotFound(UUID(folder.name)) from error

    def _write(self, folder: Path, facts: dict[str, Any]) -> None:
        temporary = folder / "server.json.new"
        temporary.write_text(json.dumps(facts))
        temporary.replace(folder / "server.json")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _alive(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def _kill(pid: int | None) -> None:
    if pid is not None and _alive(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        while _alive(pid):
            time.sleep(0.01)


def _wait_open(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"the light agent did not open port {port}")

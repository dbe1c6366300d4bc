"""Channel plugins that OpenClaw does not bundle, installed into one agent's state directory."""

import time
from collections.abc import Mapping
from pathlib import Path

import structlog

from clawdeploy_common.errors import TemporaryError
from clawdeploy_provisioner.openclaw.channels import Channel
from clawdeploy_provisioner.openclaw.commands import run
from clawdeploy_provisioner.openclaw.environment import for_npm
from clawdeploy_provisioner.openclaw.tree import Tools

log = structlog.get_logger()

_PATIENCE = 300.0


class PluginNotInstalled(TemporaryError):
    """npm could not install a channel's plugin."""

    code = "plugin-not-installed"
    title = "A channel's plugin could not be installed"


async def install_plugin(
    channel: Channel,
    spec: str,
    *,
    tools: Tools,
    environment: Mapping[str, str],
    home: Path,
    owner: tuple[int, int] | None,
) -> None:
    """Install one plugin as the agent itself (``owner``); about 30 s.

    Raises:
        PluginNotInstalled: npm or OpenClaw refused.
    """
    started = time.monotonic()
    whole = for_npm(search_path=tools.search_path, home=home) | dict(environment)
    finished = await run(
        tools.command("plugins", "install", spec), environment=whole, directory=home, patience=_PATIENCE, owner=owner
    )
    if finished.exit_code != 0:
        lines = [
            line for line in (finished.stdout + finished.stderr).decode(errors="replace").splitlines() if line.strip()
        ]
        raise PluginNotInstalled(f"{spec}: {' / '.join(lines[-3:])}", retry_after=30)
    log.info("plugin.installed", channel=channel, seconds=round(time.monotonic() - started, 1))

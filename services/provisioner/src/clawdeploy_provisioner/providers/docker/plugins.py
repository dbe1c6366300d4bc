"""Channel plugins that OpenClaw does not bundle, installed into one cell's state volume."""

import os

import structlog

from clawdeploy_provisioner.openclaw.channels import Channel, plugin_spec
from clawdeploy_provisioner.openclaw.plugins import PluginNotInstalled
from clawdeploy_provisioner.providers.docker.cell import task_of
from clawdeploy_provisioner.providers.docker.sight import Sight
from clawdeploy_provisioner.providers.docker.tasks import run_task
from clawdeploy_provisioner.providers.protocol import Progress

log = structlog.get_logger()

_PATIENCE = 300.0
_REGISTRY = "npm_config_registry"


async def install_plugin(sight: Sight, channel: Channel, *, image: str, progress: Progress) -> None:
    """Run ``openclaw plugins install`` in a container of the cell's image and network; about 30 s.

    Raises:
        PluginNotInstalled: npm or OpenClaw refused.
    """
    spec, anchor = plugin_spec(channel), sight.require_anchor()
    if spec is None:
        return
    await progress(f"Installing the {channel} plugin (about 30 s)")
    config = task_of(anchor, ["plugins", "install", spec], image=image, network=anchor.bridge, with_state=True)
    if _REGISTRY in os.environ:
        config["Env"].append(f"{_REGISTRY}={os.environ[_REGISTRY]}")
    finished = await run_task(sight.engine, config, files={}, patience=_PATIENCE)
    if finished.exit_code != 0:
        said = (finished.stdout + finished.stderr).decode(errors="replace").splitlines()
        raise PluginNotInstalled(f"{spec}: {' / '.join([line for line in said if line.strip()][-3:])}", retry_after=30)
    log.info("plugin.installed", channel=channel, server_id=str(sight.server_id))

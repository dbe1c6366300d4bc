"""Agents as processes of this machine."""

from clawdeploy_provisioner.providers.process.provider import ProcessProvider
from clawdeploy_provisioner.providers.process.settings import ProcessSettings

__all__ = ["ProcessProvider", "ProcessSettings"]

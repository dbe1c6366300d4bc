"""A stand-in of the Hetzner Cloud API: servers, actions, SSH keys, firewalls, primary IPs, catalogue and prices.

Faithful to the published description (docs.hetzner.cloud/cloud.spec.json) as it has been since 1 October 2026: no
`datacenter` anywhere.
"""

from clawdeploy_emulators.hetzner.app import create_hetzner
from clawdeploy_emulators.hetzner.settings import HetznerSettings

__all__ = ["HetznerSettings", "create_hetzner"]

"""Stand-ins of outside APIs, for the demo and the tests.

Each keeps the published shape of the API it stands in for, so that the platform's client needs no branch for it.
"""

from clawdeploy_emulators.digitalocean import DigitalOceanSettings, create_digitalocean
from clawdeploy_emulators.hetzner import HetznerSettings, create_hetzner
from clawdeploy_emulators.openrouter import OpenRouterSettings, create_openrouter
from clawdeploy_emulators.ovh import OvhSettings, create_ovh

__all__ = [
    "DigitalOceanSettings",
    "HetznerSettings",
    "OpenRouterSettings",
    "OvhSettings",
    "create_digitalocean",
    "create_hetzner",
    "create_openrouter",
    "create_ovh",
]

"""A stand-in of DigitalOcean's API v2: Droplets, actions, SSH keys, tags, firewalls, catalogue and account.

Faithful to the published description (github.com/digitalocean/openapi), as DigitalOcean's own SDK tells it.
"""

from clawdeploy_emulators.digitalocean.app import create_digitalocean
from clawdeploy_emulators.digitalocean.settings import DigitalOceanSettings

__all__ = ["DigitalOceanSettings", "create_digitalocean"]

"""A stand-in of OVHcloud's API: carts, orders that are delivered, VPS with their tasks, services, tags and keys.

The VPS and account answers keep the published descriptions (ovh-vps.json, ovh-me.json of OVHcloud's command line); the
order's keep recorded observations of the live API, for no description of them was at hand.
"""

from clawdeploy_emulators.ovh.app import create_ovh
from clawdeploy_emulators.ovh.settings import OvhSettings

__all__ = ["OvhSettings", "create_ovh"]

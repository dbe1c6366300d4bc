"""What the Hetzner stand-in is told from outside."""

from dataclasses import dataclass
from ipaddress import IPv4Network

from clawdeploy_emulators.cloud.billing import Charge
from clawdeploy_emulators.cloud.settings import CloudSettings
from clawdeploy_emulators.hetzner.charging import charge

BASE_PATH = "/v1"
ADDRESSES = IPv4Network("127.64.0.0/16")  # loopback: nobody outside is ever called for a server's sake


@dataclass(frozen=True, kw_only=True)
class HetznerSettings(CloudSettings):
    """Settings of one stand-in, which is one project."""

    addresses: IPv4Network = ADDRESSES
    currency: str = "EUR"
    charge: Charge = charge
    requests_per_hour: int = 3600
    key_limit: int = 500
    firewall_limit: int = 50

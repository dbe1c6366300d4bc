"""What the DigitalOcean stand-in is told from outside."""

from dataclasses import dataclass
from ipaddress import IPv4Network

from clawdeploy_emulators.cloud.billing import Charge
from clawdeploy_emulators.cloud.settings import CloudSettings
from clawdeploy_emulators.digitalocean.charging import charge

BASE_PATH = "/v2"
ADDRESSES = IPv4Network("127.65.0.0/16")  # loopback: nobody outside is ever called for a Droplet's sake


@dataclass(frozen=True, kw_only=True)
class DigitalOceanSettings(CloudSettings):
    """Settings of one stand-in, which is one account."""

    addresses: IPv4Network = ADDRESSES
    currency: str = "USD"
    charge: Charge = charge
    requests_per_hour: int = 5000
    requests_per_minute: int = 250
    key_listings_per_minute: int = 10

"""What the OVH stand-in is told from outside."""

from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Literal

from clawdeploy_emulators.cloud.billing import Charge
from clawdeploy_emulators.cloud.settings import CloudSettings
from clawdeploy_emulators.ovh.charging import charge

BASE_PATH = "/1.0"
ADDRESSES = IPv4Network("127.66.0.0/16")  # loopback: nobody outside is ever called for a VPS's sake


@dataclass(frozen=True, kw_only=True)
class OvhSettings(CloudSettings):
    """Settings of one stand-in, which is one account; `token` is the application's secret."""

    application_key: str
    consumer_key: str = field(repr=False)
    addresses: IPv4Network = ADDRESSES
    currency: str = "EUR"
    charge: Charge = charge
    region: Literal["eu", "us"] = "eu"  # where an order tells its service's name differs
    delivery_seconds: float = 5.0  # from a paid order to its VPS
    activation_seconds: float = 3.0  # from the order until its renewal can be changed

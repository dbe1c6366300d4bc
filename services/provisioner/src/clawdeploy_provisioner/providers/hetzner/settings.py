"""What the ``hetzner`` provider is told from outside."""

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from pydantic import SecretStr


@dataclass(frozen=True, kw_only=True)
class HetznerSettings:
    """``platform`` labels what is ours: two platforms in one project need different ones. Prices are net, in the account's currency."""

    token: SecretStr = field(repr=False)
    base_url: str
    platform: str
    control_plane_url: str
    image: str
    max_hourly: Decimal
    heartbeat: timedelta
    visibility_lag: timedelta

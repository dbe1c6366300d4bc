"""What a cloud's provider is told from outside."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal


@dataclass(frozen=True, kw_only=True)
class CloudSettings:
    """``platform`` marks what is ours: two platforms in one account need different ones. Prices are net, in the account's currency."""

    platform: str
    control_plane_url: str
    image: str
    max_hourly: Decimal
    heartbeat: timedelta
    visibility_lag: timedelta
    delivery_patience: timedelta = timedelta(0)

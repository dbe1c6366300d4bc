"""What every cloud's stand-in is told from outside."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path

from clawdeploy_emulators.cloud.billing import Charge
from clawdeploy_emulators.cloud.machines import HollowMachine, Keep, Machine, keep_all


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class CloudSettings:
    """Settings of one stand-in; two with the same state file at once are not supported."""

    state_file: Path
    token: str = field(repr=False)  # the account's secret; it also opens the stand-in's own endpoints
    addresses: IPv4Network  # servers get theirs from here, the first usable one is not given out
    action_seconds: float = 2.0  # how long one action takes
    visibility_seconds: float = 0.0  # how long a new server is missing from listings
    server_limit: int = 300
    currency: str
    charge: Charge  # the provider's rounding
    machine: Callable[[str], Machine] = HollowMachine  # what a server is, by its id
    keep_machines: Keep = keep_all  # what is done at the start with machines that are left over
    clock: Callable[[], datetime] = utc_now

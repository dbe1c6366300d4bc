"""The clouds that chaos knows: how each one's stand-in is made, what is asked of it, and what is in its account."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from clawdeploy_emulators.cloud.machines import Machine
from clawdeploy_emulators.digitalocean import DigitalOceanSettings, create_digitalocean
from clawdeploy_emulators.hetzner import HetznerSettings, create_hetzner
from clawdeploy_emulators.ovh import create_ovh
from tests.contracts.clouds import APPLICATION, CONSUMER, TOKEN, ovh_settings
from tests.light.cloud_accounts import Account, OvhAccount

_PLENTY = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Making:
    """What every stand-in is made with."""

    state_file: Path
    machine: Callable[[str], Machine]
    clock: Callable[[], datetime]
    action_seconds: float = 0.2
    server_limit: int = 300
    is_limited: bool = False  # in calls: an account that is looked at again and again needs more than the cloud gives

    @property
    def common(self) -> dict[str, Any]:
        """What all stand-ins call the same."""
        names = ("state_file", "machine", "clock", "action_seconds", "server_limit")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, kw_only=True)
class CloudKind:
    """One cloud: its stand-in, the provisioner's settings for it, a deployment's place there, and its calls by method and path.

    ``listing`` is where servers are looked for, ``ordering`` the call that costs money, ``preparing`` the other changes of a
    deploy, ``removing`` those of a destroy, the one that ends the cost first. A star is any one segment of a path.
    """

    name: str
    create: Callable[[Making], FastAPI]
    account: Callable[[FastAPI], Account]
    settings: dict[str, Any]
    plan: dict[str, Any]
    listing: str
    ordering: str
    preparing: tuple[str, ...]
    removing: tuple[str, ...]
    hourly_micros: int  # what the deployment's server costs there, as the operator tells billing
    complaint: str  # what people read of a server that the cloud failed to make
    full: str  # and of an account that takes no more
    off_micros: int = 0  # how far an hourly price can be from a server's bill
    repeats: bool = False  # whether it makes a second server of the same name
    over_ssh: bool = False  # whether its servers are set up over SSH

    @property
    def host(self) -> str:
        """Where the stand-in is mounted."""
        return f"http://{self.name}"


def fault_at(call: str, **fault: Any) -> dict[str, Any]:
    """A fault that strikes a call."""
    method, path = call.split()
    return {"method": method, "path_prefix": path, **fault}


def _hetzner(making: Making) -> FastAPI:
    calls: dict[str, Any] = {} if making.is_limited else {"requests_per_hour": _PLENTY}
    return create_hetzner(HetznerSettings(token=TOKEN, **making.common, **calls))


def _digitalocean(making: Making) -> FastAPI:
    limits = ("requests_per_hour", "requests_per_minute", "key_listings_per_minute")
    calls: dict[str, Any] = {} if making.is_limited else dict.fromkeys(limits, _PLENTY)
    return create_digitalocean(DigitalOceanSettings(token=TOKEN, **making.common, **calls))


def _ovh(making: Making) -> FastAPI:
    waits = dict.fromkeys(("delivery_seconds", "activation_seconds"), making.action_seconds)
    options: dict[str, Any] = {**making.common, **waits}
    return create_ovh(ovh_settings(**options))


_CART = "/1.0/order/cart"

CLOUDS = {
    cloud.name: cloud
    for cloud in [
        CloudKind(
            name="hetzner",
            create=_hetzner,
            account=partial(Account, host="http://hetzner", lists=("/v1/servers", "/v1/ssh_keys", "/v1/firewalls")),
            settings={"HETZNER_API_TOKEN": TOKEN, "hetzner_base_url": "http://hetzner/v1"},
            plan={"provider": "hetzner", "region": "nbg1", "cpu_millis": 1000},
            listing="GET /v1/servers",
            ordering="POST /v1/servers",
            preparing=("POST /v1/ssh_keys", "POST /v1/firewalls"),
            removing=("DELETE /v1/servers/*", "DELETE /v1/firewalls/*", "DELETE /v1/ssh_keys/*"),
            hourly_micros=9_600,
            complaint="create_server failed",
            full="limit",
        ),
        CloudKind(
            name="digitalocean",
            create=_digitalocean,
            account=partial(
                Account,
                host="http://digitalocean",
                lists=("/v2/droplets", "/v2/account/keys", "/v2/firewalls", "/v2/tags"),
                always="clawdeploy:platform:clawdeploy",
            ),
            settings={"DIGITALOCEAN_TOKEN": TOKEN, "digitalocean_base_url": "http://digitalocean/v2"},
            plan={"provider": "digitalocean", "region": "nyc3", "cpu_millis": 1000},
            listing="GET /v2/droplets",
            ordering="POST /v2/droplets",
            preparing=("POST /v2/account/keys", "POST /v2/tags", "POST /v2/firewalls"),
            removing=(
                "DELETE /v2/droplets/*",
                "DELETE /v2/firewalls/*",
                "DELETE /v2/account/keys/*",
                "DELETE /v2/tags/*",
            ),
            hourly_micros=17_860,
            complaint="create failed",
            full="limit",
            repeats=True,
        ),
        CloudKind(
            name="ovh",
            create=_ovh,
            account=partial(OvhAccount, host="http://ovh"),
            settings={
                "OVH_APPLICATION_KEY": APPLICATION,
                "OVH_APPLICATION_SECRET": TOKEN,
                "OVH_CONSUMER_KEY": CONSUMER,
                "ovh_base_url": "http://ovh/1.0",
            },
            plan={"provider": "ovh", "region": "GRA", "cpu_millis": 1000},
            listing="GET /v2/iam/resource",
            ordering=f"POST {_CART}/*/checkout",
            preparing=(
                f"POST {_CART}",
                f"POST {_CART}/*/assign",
                f"POST {_CART}/*/vps",
                f"POST {_CART}/*/item/*/configuration",
                "POST /v2/iam/resource/*/tag",
                "POST /1.0/vps/*/rebuild",
            ),
            removing=("PUT /1.0/vps/*/serviceInfos", "POST /1.0/vps/*/rebuild", "POST /v2/iam/resource/*/tag"),
            hourly_micros=6_274,
            off_micros=365,
            complaint="OVH has cancelled order",
            full="no progress",
            over_ssh=True,
        ),
    ]
}

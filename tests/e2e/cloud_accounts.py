"""What is in a cloud account, as the vendors' own SDKs see it: an eye that is none of the product's."""

from collections.abc import Mapping
from typing import Any

import hcloud
import ovh
import pydo
from ovh.client import ENDPOINTS

Holdings = dict[str, list[str]]
"""Names by kind; one that is ordered and ends by itself counts as ``ending``."""


def holdings(cloud: str, *, base_url: str, secrets: Mapping[str, str]) -> Holdings:
    """Everything of the account that the product could have made there; ``secrets`` are those variables that open it."""
    return _HOLDINGS[cloud](base_url, secrets)


def _hetzner(base_url: str, secrets: Mapping[str, str]) -> Holdings:
    client = hcloud.Client(token=secrets["HCLOUD_TOKEN"], api_endpoint=base_url, timeout=30)
    return {
        "servers": sorted(str(server.name) for server in client.servers.get_all()),
        "keys": sorted(str(key.name) for key in client.ssh_keys.get_all()),
        "firewalls": sorted(str(firewall.name) for firewall in client.firewalls.get_all()),
    }


def _digitalocean(base_url: str, secrets: Mapping[str, str]) -> Holdings:
    plain: dict[str, Any] = {} if base_url.startswith("https://") else {"enforce_https": False}
    endpoint = base_url.removesuffix("/v2")
    with pydo.Client(token=secrets["DIGITALOCEAN_TOKEN"], endpoint=endpoint) as sdk:
        client: Any = sdk  # the SDK types its answers loosely
        found = {
            "servers": client.droplets.list(per_page=200, **plain)["droplets"],
            "keys": client.ssh_keys.list(per_page=200, **plain)["ssh_keys"],
            "firewalls": client.firewalls.list(per_page=200, **plain)["firewalls"],
        }
    return {kind: sorted(str(item["name"]) for item in items) for kind, items in found.items()}


def _ovh(base_url: str, secrets: Mapping[str, str]) -> Holdings:
    ENDPOINTS["asked"] = base_url
    client: Any = ovh.Client(
        endpoint="asked",
        application_key=secrets["OVH_APPLICATION_KEY"],
        application_secret=secrets["OVH_APPLICATION_SECRET"],
        consumer_key=secrets["OVH_CONSUMER_KEY"],
    )
    found: Holdings = {"servers": [], "ending": [], "keys": sorted(client.get("/me/sshKey"))}
    for name in client.get("/vps"):
        renew = client.get(f"/vps/{name}/serviceInfos")["renew"]
        found["ending" if renew["deleteAtExpiration"] else "servers"].append(name)
    return found


_HOLDINGS = {"hetzner": _hetzner, "digitalocean": _digitalocean, "ovh": _ovh}

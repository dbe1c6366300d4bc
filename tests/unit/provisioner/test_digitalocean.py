"""DigitalOcean's tags and sizes: what is pure."""

import re
from decimal import Decimal
from typing import Any

import pytest

from clawdeploy_common.ids import new_id
from clawdeploy_provisioner.providers.cloud.choice import NothingFits
from clawdeploy_provisioner.providers.digitalocean.choice import offers
from clawdeploy_provisioner.providers.digitalocean.keys import fingerprint_of
from clawdeploy_provisioner.providers.digitalocean.tags import (
    belonging_name,
    instance_of,
    owner_in,
    owner_tags,
    platform_tag,
    server_of,
    tags_of,
)
from clawdeploy_provisioner.providers.protocol import ServerSpec

SPEC = ServerSpec(
    server_id=new_id(),
    instance_id=new_id(),
    account_id=new_id(),
    operation_id=new_id(),
    slug="a",
    region="nyc3",
    memory_mb=2048,
    cpu_millis=1000,
)


@pytest.mark.parametrize("platform", ["clawdeploy", "Home.7_x-Y"])
def test_tags_are_allowed_and_say_whose_a_droplet_is(platform: str) -> None:
    """Letters, digits, colons, dashes and underscores, 255 at most; only the platform's is shared with others."""
    tags = tags_of(SPEC, platform=platform)
    assert all(re.fullmatch(r"[a-zA-Z0-9_\-:]{1,255}", tag) for tag in tags)
    assert (server_of(tags), instance_of(tags)) == (SPEC.server_id, SPEC.instance_id)
    assert [tag for tag in tags if str(SPEC.server_id) not in tag] == [platform_tag(platform)]
    assert len(owner_tags(tags)) == 3


def test_two_platforms_never_share_a_tag() -> None:
    """INVARIANT: what is another's is never touched; DigitalOcean compares tags without regard to case."""
    names = ["home.a", "home-a", "home_a", "Home.a", "home.2ea", "HOME.A"]
    assert len({platform_tag(name).lower() for name in names}) == len(names)


def test_somebody_elses_droplet_is_none_of_ours() -> None:
    assert server_of(["web", "clawdeploy"]) is None


def test_a_key_or_firewall_of_another_platform_is_none_of_ours() -> None:
    """INVARIANT: what is another's is never touched."""
    name = belonging_name(SPEC.server_id, platform="home.a")
    assert owner_in(name, platform="home.a") == SPEC.server_id
    assert owner_in(name, platform="home.b") is None
    assert owner_in("clawdeploy-" + str(SPEC.server_id), platform="home.a") is None


def _size(slug: str, hourly: str, *, memory: int = 2048, regions: tuple[str, ...] = ("nyc3",)) -> dict[str, Any]:
    price = Decimal(hourly)
    return {"slug": slug, "memory": memory, "vcpus": 1, "available": True, "regions": regions, "price_hourly": price}


def test_the_cheapest_that_fits_near_the_asked_region_comes_first() -> None:
    regions: list[dict[str, Any]] = [
        {"slug": slug, "available": slug != "tor1"} for slug in ("fra1", "sfo3", "nyc3", "tor1")
    ]
    sizes = [
        _size("dear", "0.09"),
        _size("small", "0.001", memory=1024),
        _size("too-dear", "0.2"),
        _size("cheap", "0.01785999991", regions=("nyc3", "sfo3", "fra1", "tor1")),
    ]
    found = offers(sizes, regions, spec=SPEC, limit=Decimal("0.1"))
    assert [(o.server_type, o.location) for o in found] == [("cheap", "nyc3"), ("dear", "nyc3"), ("cheap", "sfo3")]
    with pytest.raises(NothingFits):
        offers(sizes, regions, spec=SPEC, limit=Decimal("0.01"))


def test_a_key_is_known_by_its_fingerprint() -> None:
    """As `ssh-keygen -l -E md5` says it."""
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA comment"
    assert fingerprint_of(key) == "3d:52:38:ce:ff:94:f5:d7:81:a4:a4:f9:2b:4f:fe:a0"

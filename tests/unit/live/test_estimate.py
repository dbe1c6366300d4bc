"""What a run at real accounts would cost is told, and refused when it is too much."""

from decimal import Decimal
from typing import Any

import pytest
from tests.live.estimate import Estimate, estimate, within
from tests.live.permission import Refused


def size(name: str, *, hourly: str, memory_mb: int = 4096, vcpus: int = 2, region: str = "here") -> dict[str, Any]:
    monthly = str(Decimal(hourly) * 730)
    return {
        "id": name,
        "hourly": hourly,
        "monthly": monthly,
        "memory_mb": memory_mb,
        "vcpus": vcpus,
        "regions": [region],
    }


SIZES = [
    size("small", hourly="0.001", memory_mb=1024),
    size("elsewhere", hourly="0.002", region="there"),
    size("dear", hourly="0.05"),
    size("right", hourly="0.006000001"),
]


def estimated(cloud: str, sizes: list[dict[str, Any]] | None = None) -> Estimate:
    return estimate(cloud, SIZES if sizes is None else sizes, region="here", memory_mb=2048, cpu_millis=1000)


def test_the_cheapest_that_fits_is_counted_for_two_hours_and_nothing_dearer_may_be_ordered() -> None:
    found = estimated("digitalocean")
    assert (found.size, found.amount) == ("right", Decimal("0.01202"))
    assert found.most == {"CLAWDEPLOY_DIGITALOCEAN_MAX_HOURLY": "0.00601"}


def test_hetzner_charges_an_address_too() -> None:
    assert estimated("hetzner").amount == estimated("digitalocean").amount + Decimal("0.002")


def test_ovh_costs_a_month() -> None:
    found = estimated("ovh")
    assert found.amount == Decimal("0.006000001") * 730
    assert found.most == {"CLAWDEPLOY_OVH_MAX_MONTHLY": str(found.amount)}


def test_what_is_above_the_limit_is_refused_with_its_price() -> None:
    both = [estimated("digitalocean"), estimated("ovh")]
    total = sum(each.amount for each in both)
    assert str(total) in within(both, Decimal(total))
    with pytest.raises(Refused, match="right in here"):
        within(both, Decimal(total) - Decimal("0.01"))


def test_where_nothing_fits_nothing_is_ordered() -> None:
    with pytest.raises(Refused, match="nothing with 2048 MB in here"):
        estimated("hetzner", SIZES[:2])

"""The prices of a platform that was told none: what an hour costs the operator, and what the customer is charged.

A month is 730 hours: 6,849 micro-USD an hour are 5.00 USD a month.
"""

from clawdeploy_events.billing import Price

_OURS = ("process", "docker")
"""Places on the platform's own machine and on Docker hosts."""
_OWN = "own"
"""Machines that the operator has anyway: nothing is added to what they cost already."""
_RENTED = ("hetzner", "digitalocean", "ovh")


def _prices(plan: str, *, cost: int, charge: int) -> list[Price]:
    return [
        Price(provider=provider, plan=plan, cost_micros_per_hour=cost, charge_micros_per_hour=charge)
        for provider in _OURS
    ]


def _clouds(plan: str, *, cost: int, charge: int) -> list[Price]:
    """A server of the operator's cloud account; what it costs there is read from the provider's bill, so set your own."""
    return [
        Price(provider=name, plan=plan, cost_micros_per_hour=cost, charge_micros_per_hour=charge) for name in _RENTED
    ]


_PLANS = ("free", "basic", "pro", "enterprise")
OWN_PRICES = [Price(provider=_OWN, plan=plan, cost_micros_per_hour=0, charge_micros_per_hour=0) for plan in _PLANS]
DEFAULT_PRICES = [
    *OWN_PRICES,
    *_prices("free", cost=2_740, charge=0),
    *_prices("basic", cost=2_740, charge=6_849),
    *_prices("pro", cost=5_479, charge=13_699),
    *_prices("enterprise", cost=27_397, charge=68_493),
    *_clouds("free", cost=9_600, charge=0),
    *_clouds("basic", cost=9_600, charge=13_699),
    *_clouds("pro", cost=9_600, charge=20_548),
    *_clouds("enterprise", cost=14_400, charge=68_493),
]

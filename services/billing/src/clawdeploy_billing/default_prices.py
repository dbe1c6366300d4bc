"""The prices of a platform that was told none: what an hour costs the operator, and what the customer is charged.

A month is 730 hours: 6,849 micro-USD an hour are 5.00 USD a month.
"""

from clawdeploy_events.billing import Price

_OURS = ("process", "docker")
"""The operator's own machines."""


def _prices(plan: str, *, cost: int, charge: int) -> list[Price]:
    return [
        Price(provider=provider, plan=plan, cost_micros_per_hour=cost, charge_micros_per_hour=charge)
        for provider in _OURS
    ]


DEFAULT_PRICES = [
    *_prices("free", cost=2_740, charge=0),
    *_prices("basic", cost=2_740, charge=6_849),
    *_prices("pro", cost=5_479, charge=13_699),
    *_prices("enterprise", cost=27_397, charge=68_493),
]

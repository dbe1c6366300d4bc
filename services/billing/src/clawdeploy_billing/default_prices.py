"""The prices of a platform that was told none: what an hour costs the operator, and what the customer is charged.

A month is 730 hours: 6,849 micro-USD an hour are 5.00 USD a month.
"""

from clawdeploy_events.billing import Price


def _price(plan: str, *, cost: int, charge: int) -> Price:
    return Price(provider="process", plan=plan, cost_micros_per_hour=cost, charge_micros_per_hour=charge)


DEFAULT_PRICES = [
    _price("free", cost=2_740, charge=0),
    _price("basic", cost=2_740, charge=6_849),
    _price("pro", cost=5_479, charge=13_699),
    _price("enterprise", cost=27_397, charge=68_493),
]

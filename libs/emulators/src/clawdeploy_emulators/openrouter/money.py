"""Money of the stand-in: whole nano-dollars inside, JSON numbers in dollars outside.

The dearest and the cheapest published prices are whole nano-dollars per token, so tokens times price is exact.
"""

from decimal import ROUND_HALF_EVEN, Decimal

NANOS_PER_DOLLAR = 1_000_000_000
NANOS_PER_MICRO = 1_000


def dollars(nanos: int) -> float:
    """The JSON number for an amount; read as Decimal it is exact below a million dollars (15 digits of a double)."""
    return nanos / NANOS_PER_DOLLAR


def decimal_string(nanos: int) -> str:
    """A price in dollars the way the models list prints it: plain decimal, no exponent, no trailing zeros."""
    return format((Decimal(nanos) / NANOS_PER_DOLLAR).normalize(), "f")


def nanos_from_dollars(amount: float) -> int:
    """Whole nano-dollars of a JSON number in dollars."""
    return int((Decimal(str(amount)) * NANOS_PER_DOLLAR).to_integral_value(ROUND_HALF_EVEN))

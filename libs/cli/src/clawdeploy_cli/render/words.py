"""Values as people read them."""

from datetime import UTC, datetime

MICROS = 1_000_000
_FRESH_S = 2.0
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def money(micros: int | None, *, currency: str = "USD") -> str:
    """Micro-units as an amount, always with six decimals: columns of amounts line up."""
    if micros is None:
        return "-"
    sign, whole, rest = "-" if micros < 0 else "", *divmod(abs(micros), MICROS)
    return f"{sign}{'$' if currency == 'USD' else currency + ' '}{whole}.{rest:06d}"


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`, `4 d 3 h`."""
    if seconds < 10:  # noqa: PLR2004 - below it a tenth matters
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def age(moment: str | datetime | None, *, now: datetime | None = None) -> str:
    """How long ago; `-` when never."""
    if moment is None:
        return "-"
    return duration(((now or datetime.now(UTC)) - instant(moment)).total_seconds())


def as_of(moment: str | datetime, *, now: datetime | None = None) -> str:
    """How fresh a reading is: `now`, else `12 s ago`."""
    seconds = ((now or datetime.now(UTC)) - instant(moment)).total_seconds()
    return "now" if seconds < _FRESH_S else f"{duration(seconds)} ago"


def amount(quantity: int, unit: str) -> str:
    """A metered quantity: seconds as a duration; usage metered in money is that money, told beside it."""
    if unit == "second":
        return duration(quantity) if quantity >= 10 else f"{quantity} s"  # noqa: PLR2004 - as `duration`
    return "usage" if unit == "usd_micros" else f"{quantity} {unit.replace('_', ' ')}"


def instant(moment: str | datetime) -> datetime:
    """An RFC 3339 text as an aware datetime."""
    return moment if isinstance(moment, datetime) else datetime.fromisoformat(moment)


def paid_for(until: str | None, *, now: datetime | None = None) -> str | None:
    """What is to be said of a destroyed server that its provider is still paid for; None when it is not."""
    if until is None or instant(until) <= (now or datetime.now(UTC)):
        return None
    return f"terminating, paid until {instant(until).date().isoformat()}"


def word(value: object) -> str:
    """Any field's value as text; `-` for nothing."""
    return "-" if value is None or value == "" else str(value)

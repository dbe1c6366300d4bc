"""The ledger: two books of lines that are added and never changed. Every line names the events it follows from (law 8)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from clawdeploy_billing.metrics import METERED, MICROS
from clawdeploy_billing.models import LedgerLine, LlmKey, ServerMeter
from clawdeploy_common import rows
from clawdeploy_common.clock import utc_now
from clawdeploy_common.session import Session

CURRENCY = "USD"
Book = Literal["cost", "charge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An amount for one book: ``quantity`` seconds or micro-USD of usage, ``micros`` of money."""

    book: Book
    quantity: int
    micros: int

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to book."""
        return self.quantity == 0 and self.micros == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The time an entry is for, at which price, and the events that say so."""

    start: datetime
    end: datetime
    price_version: int
    event_ids: Sequence[UUID]


async def book(session: Session, meter: ServerMeter | LlmKey, entries: Sequence[Entry], period: Period) -> None:
    """Add lines for a meter whose row the caller has locked.

    Lines are numbered per meter, and (meter, book, number) is unique: two transactions that book the same cannot both commit.
    What follows a server meter's first booking corrects it, and is marked so.
    """
    entries = [entry for entry in entries if not entry.is_empty]
    if not entries:
        return
    of_server = isinstance(meter, ServerMeter)
    kind = "adjustment" if of_server and meter.lines else "usage"
    meter.lines += 1
    lines: list[LedgerLine] = []
    for entry in entries:
        METERED.labels(entry.book, "server" if of_server else "llm_key").inc(max(0, entry.micros) / MICROS)
        lines.append(
            LedgerLine(
                account_id=meter.account_id,
                instance_id=meter.instance_id,
                meter_id=meter.id if of_server else meter.meter_id,
                meter_kind="server" if of_server else "llm_key",
                book=entry.book,
                number=meter.lines,
                kind=kind,
                quantity=entry.quantity,
                unit="second" if of_server else "usd_micro",
                micros=entry.micros,
                currency=CURRENCY,
                price_version=period.price_version,
                period_start=period.start,
                period_end=period.end,
                event_ids=list(period.event_ids),
                booked_at=utc_now(),
            )
        )
    await rows.add_all(session, lines)

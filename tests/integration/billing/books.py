"""Billing under test: hands it records, reads its books and what it told others."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from clawdeploy_billing.settings import BillingSettings
from clawdeploy_common.records import Record
from clawdeploy_common.service import Service
from sqlalchemy import text

Totals = dict[tuple[UUID, str], tuple[int, int]]


class Books:
    """A billing service, and what can be read off it."""

    def __init__(self, service: Service, settings: BillingSettings) -> None:
        self.service = service
        self.settings = settings

    async def receive(self, *records: Record) -> None:
        """Hand over one batch."""
        await self.service.inbox.receive(records)

    async def rows(self, query: str, **values: Any) -> Sequence[Any]:
        """Rows of a query as the owner."""
        async with self.service.database.connection() as connection:
            return (await connection.execute(text(query), values)).all()

    async def lines(self) -> Sequence[Any]:
        """All lines of the ledger."""
        return await self.rows("SELECT * FROM ledger_lines ORDER BY id")

    async def totals(self) -> Totals:
        """Quantity and micros by meter and book."""
        found: defaultdict[tuple[UUID, str], list[int]] = defaultdict(lambda: [0, 0])
        for line in await self.lines():
            found[line.meter_id, line.book][0] += line.quantity
            found[line.meter_id, line.book][1] += line.micros
        return {at: (quantity, micros) for at, (quantity, micros) in found.items() if (quantity, micros) != (0, 0)}

    async def charged(self, book: str) -> int:
        """Micro-USD in one book."""
        return sum(line.micros for line in await self.lines() if line.book == book)

    async def told(self, event_type: str) -> list[dict[str, Any]]:
        """Payloads of one event type, in order."""
        rows = await self.rows("SELECT data FROM outbox WHERE type = :type ORDER BY id", type=event_type)
        return [json.loads(row.data) for row in rows]

    async def last_words(self) -> dict[str, tuple[int, int, int, str]]:
        """What the last ``meter.closed.v1`` of each meter says; meters that came to nothing are left out."""
        closed = {event["meter_id"]: event for event in await self.told("meter.closed.v1")}
        return {
            meter: (event["seconds"], event["cost_micros"], event["charge_micros"], event["until"])
            for meter, event in closed.items()
            if event["seconds"]
        }

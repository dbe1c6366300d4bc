"""Billing under test: hands it records, reads its books and what it told others."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from tests.integration.billing.life import Life

from clawdeploy_billing.settings import BillingSettings
from clawdeploy_common.records import Record
from clawdeploy_common.service import Service


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

    async def charged(self, book: str) -> int:
        """Micro-USD in one book."""
        return sum(line.micros for line in await self.lines() if line.book == book)

    async def sums(self, life: Life) -> dict[tuple[str, datetime], int]:
        """Micro-USD booked for one instance, by book and beginning of the period; what comes to nothing is left out."""
        found: Counter[tuple[str, datetime]] = Counter()
        for line in await self.lines():
            if line.instance_id == life.instance_id:
                found[line.book, line.period_start] += line.micros
        return {at: micros for at, micros in found.items() if micros}

    async def execute(self, statement: str) -> None:
        """Run a statement as the owner."""
        async with self.service.database.connection() as connection:
            await connection.execute(text(statement))

    async def told(self, event_type: str) -> list[dict[str, Any]]:
        """Payloads of one event type, in order."""
        rows = await self.rows("SELECT data FROM outbox WHERE type = :type ORDER BY id", type=event_type)
        return [json.loads(row.data) for row in rows]

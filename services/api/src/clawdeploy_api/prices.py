"""The price book as the gateway knows it: which version holds now."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from clawdeploy_common.database import Database
from clawdeploy_common.remembered import Remembered

CACHE_S = 5.0
FIRST_VERSION = 1
_CURRENT = text(
    """
    SELECT version, currency, prices, llm_charge_percent FROM price_books WHERE valid_from <= clock_timestamp()
    ORDER BY valid_from DESC, version DESC LIMIT 1
    """
)


@dataclass(frozen=True, kw_only=True)
class PriceBook:
    """The version that holds; ``prices`` as published, empty while none was."""

    version: int = FIRST_VERSION
    currency: str = "USD"
    prices: tuple[dict[str, Any], ...] = ()
    llm_charge_percent: int | None = None


class Prices:
    """Reads the price book, at most every five seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._remembered = Remembered(self._read, seconds=CACHE_S)

    async def current(self) -> PriceBook:
        """The version that holds now; before billing published one, version 1 without prices."""
        return await self._remembered.get()

    async def _read(self) -> PriceBook:
        async with self._database.web_transaction(None) as unit:
            row = (await unit.session.execute(_CURRENT)).one_or_none()
        return PriceBook() if row is None else _book(row)


def _book(row: Any) -> PriceBook:
    return PriceBook(
        version=row.version,
        currency=row.currency,
        prices=tuple(row.prices),
        llm_charge_percent=row.llm_charge_percent,
    )

"""Publishing and reading the price book: versions are rows, and a version is announced once, in the transaction that adds it."""

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlalchemy import text

from clawdeploy_billing import repository
from clawdeploy_billing.ledger import CURRENCY
from clawdeploy_billing.models import PriceBookRow
from clawdeploy_billing.pricing import PriceBook, PriceBookVersion, Rates
from clawdeploy_common import rows
from clawdeploy_common.errors import TemporaryError
from clawdeploy_common.ids import named_id
from clawdeploy_common.session import Session
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.billing import Price, PriceBookPublished

log = structlog.get_logger()

PRICE_BOOK_ID = named_id("clawdeploy:price-book")
"""Key of every ``price_book.published.v1``."""
_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('clawdeploy.price_book'))")


async def publish(uow: UnitOfWork, *, prices: Sequence[Price], llm_charge_percent: int, now: datetime) -> int | None:
    """Add the next version when these prices are not the newest ones; the new version, or None. Replicas wait for each other."""
    await uow.session.execute(_LOCK)
    found = await repository.price_book_rows(uow.session)
    wanted = _canonical(prices)
    if found and found[-1].prices == wanted and found[-1].llm_charge_percent == llm_charge_percent:
        return None
    version = found[-1].version + 1 if found else 1
    event = PriceBookPublished(
        version=version,
        currency=CURRENCY,
        valid_from=now,
        prices=[Price.model_validate(price) for price in wanted],
        llm_charge_percent=llm_charge_percent,
    )
    event_id = uow.outbox.add(event, key=PRICE_BOOK_ID)
    await rows.add(
        uow.session,
        PriceBookRow(
            version=version,
            valid_from=now,
            currency=CURRENCY,
            prices=wanted,
            llm_charge_percent=llm_charge_percent,
            event_id=event_id,
        ),
    )
    log.info("price_book.published", version=version, prices=len(wanted), llm_charge_percent=llm_charge_percent)
    return version


async def load(session: Session) -> PriceBook:
    """The price book; raises TemporaryError before its first version is published."""
    found = await repository.price_book_rows(session)
    if not found:
        raise TemporaryError("the price book is not published yet", retry_after=1)
    return PriceBook([_version(row) for row in found])


def _canonical(prices: Sequence[Price]) -> list[dict[str, object]]:
    return [p.model_dump() for p in sorted(prices, key=lambda p: (p.provider, p.plan))]


def _version(row: PriceBookRow) -> PriceBookVersion:
    prices = [Price.model_validate(price) for price in row.prices]
    return PriceBookVersion(
        version=row.version,
        valid_from=row.valid_from,
        rates={
            (p.provider, p.plan): Rates(
                cost_micros_per_hour=p.cost_micros_per_hour, charge_micros_per_hour=p.charge_micros_per_hour
            )
            for p in prices
        },
        llm_charge_percent=row.llm_charge_percent,
        event_id=row.event_id,
    )

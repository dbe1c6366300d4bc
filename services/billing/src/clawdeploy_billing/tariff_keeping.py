"""At a start: publish the prices of the settings when they are new, and split the open meters where the new ones took effect."""

from uuid import UUID

import structlog

from clawdeploy_billing import price_books, repository, servers
from clawdeploy_billing.settings import BillingSettings
from clawdeploy_common.clock import utc_now
from clawdeploy_common.database import Database

log = structlog.get_logger()

_PAGE = 100


async def keep_tariffs(database: Database, settings: BillingSettings) -> None:
    """Publish, then settle every server that still runs; safe to run again and by several replicas."""
    async with database.transaction() as unit:
        await price_books.publish(
            unit, prices=settings.prices, llm_charge_percent=settings.llm_charge_percent, now=utc_now()
        )
    after: UUID | None = None
    while True:
        after = await _settle_page(database, after)
        if after is None:
            return


async def _settle_page(database: Database, after: UUID | None) -> UUID | None:
    """Settle one page of open servers; the last one's id, None at the end."""
    async with database.transaction() as unit:
        page = await repository.open_servers(unit.session, after=after, limit=_PAGE)
        for seen in sorted(page, key=lambda s: s.instance_id):
            instance = await repository.lock_instance(unit.session, seen.instance_id, account_id=seen.account_id)
            server = await repository.find_server(unit.session, seen.id, account_id=seen.account_id)
            if server is not None:
                await servers.settle(unit, instance, server)
    return page[-1].id if page else None

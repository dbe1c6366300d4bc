"""Billing in, read models out: prices, meters and usage become cost now."""

from collections.abc import Sequence
from typing import Any

from clawdeploy_api import money_views
from clawdeploy_api.projecting import projectors
from clawdeploy_common.handlers import Received
from clawdeploy_common.work import Projection
from clawdeploy_events.billing import MeterClosed, MeterOpened, PriceBookPublished, UsageRecorded


@projectors.on(PriceBookPublished)
async def prices_published(events: Sequence[Received[PriceBookPublished]], projection: Projection) -> None:
    """Show these prices from their day on."""
    await money_views.prices_published(projection.session, [e.event.model_dump() for e in events])


@projectors.on(MeterOpened)
async def meter_opened(events: Sequence[Received[MeterOpened]], projection: Projection) -> None:
    """Count what a server costs from now on."""
    await money_views.meter_opened(projection.session, [_metered(e) for e in events])


@projectors.on(MeterClosed)
async def meter_closed(events: Sequence[Received[MeterClosed]], projection: Projection) -> None:
    """Show what a server cost."""
    await money_views.meter_closed(projection.session, [_metered(e) for e in events])


@projectors.on(UsageRecorded)
async def usage_recorded(events: Sequence[Received[UsageRecorded]], projection: Projection) -> None:
    """Add what an LLM key used."""
    await money_views.usage_recorded(projection.session, [_metered(e) for e in events])


def _metered(e: Received[MeterOpened] | Received[MeterClosed] | Received[UsageRecorded]) -> dict[str, Any]:
    envelope = e.envelope
    return {
        **e.event.model_dump(),
        "id": e.event.meter_id,
        "instance_id": envelope.key,
        "account_id": envelope.account_id,
    }

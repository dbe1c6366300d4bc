"""Writing prices, meters and usage, as the billing topic tells it."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import DateTime, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from clawdeploy_common.session import Session

Values = Mapping[str, Any]
_TIME = DateTime(timezone=True)
_PRICES = text(
    """
    INSERT INTO price_books (version, currency, valid_from, prices, llm_charge_percent)
    VALUES (:version, :currency, :valid_from, :prices, :llm_charge_percent)
    ON CONFLICT (version) DO UPDATE SET currency = excluded.currency, valid_from = excluded.valid_from, prices = excluded.prices,
        llm_charge_percent = excluded.llm_charge_percent
    """
).bindparams(bindparam("prices", type_=JSONB), bindparam("valid_from", type_=_TIME))
_OPENED = text(
    """
    INSERT INTO meters (id, account_id, instance_id, since, cost_micros_per_hour, charge_micros_per_hour, price_version)
    VALUES (:id, :account_id, :instance_id, :since, :cost_micros_per_hour, :charge_micros_per_hour, :price_version)
    ON CONFLICT (id) DO UPDATE SET since = excluded.since, cost_micros_per_hour = excluded.cost_micros_per_hour,
        charge_micros_per_hour = excluded.charge_micros_per_hour
    """
).bindparams(bindparam("account_id", type_=Uuid), bindparam("since", type_=_TIME))
_CLOSED = text(
    """
    INSERT INTO meters (id, account_id, instance_id, price_version, closed, seconds, cost_micros, charge_micros)
    VALUES (:id, :account_id, :instance_id, :price_version, true, :seconds, :cost_micros, :charge_micros)
    ON CONFLICT (id) DO UPDATE SET closed = true, seconds = excluded.seconds, cost_micros = excluded.cost_micros,
        charge_micros = excluded.charge_micros
    """
).bindparams(bindparam("account_id", type_=Uuid))
_USED = text(
    """
    INSERT INTO usage_totals AS u (instance_id, price_version, account_id, cost_micros, charge_micros)
    VALUES (:instance_id, :price_version, :account_id, :cost_micros, :charge_micros)
    ON CONFLICT (instance_id, price_version) DO UPDATE
    SET cost_micros = u.cost_micros + excluded.cost_micros, charge_micros = u.charge_micros + excluded.charge_micros
    """
).bindparams(bindparam("account_id", type_=Uuid))


async def prices_published(session: Session, rows: Sequence[Values]) -> None:
    """A version of the price book."""
    await session.execute(_PRICES, list(rows))


async def meter_opened(session: Session, rows: Sequence[Values]) -> None:
    """Metering of a server began."""
    await session.execute(_OPENED, list(rows))


async def meter_closed(session: Session, rows: Sequence[Values]) -> None:
    """Metering of a server ended; the amounts are final."""
    await session.execute(_CLOSED, list(rows))


async def usage_recorded(session: Session, rows: Sequence[Values]) -> None:
    """LLM usage of a window; each event is added once (law 2)."""
    await session.execute(_USED, list(rows))

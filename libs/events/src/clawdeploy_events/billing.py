"""What it costs; produced by ``billing``. Money is integer micro-units of the named currency."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from clawdeploy_common.events import Event


class Price(BaseModel):
    """The price of running one plan at one provider: what it costs the operator, what the customer is charged."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    provider: str = Field(examples=["process"])
    plan: str = Field(examples=["basic"])
    cost_micros_per_hour: int
    charge_micros_per_hour: int


class PriceBookPublished(Event, type="price_book.published.v1", producer="billing"):
    """A price book version holds from ``valid_from`` on; its key is the price book's id, one and the same for all versions."""

    version: int
    currency: str = "USD"
    valid_from: datetime
    prices: list[Price]
    llm_charge_percent: int = Field(description="what is charged for LLM usage, in percent of its cost")


class MeterOpened(Event, type="meter.opened.v1", producer="billing"):
    """A server is being metered; what it costs by now is rate times time since ``since``.

    A meter is a server at one rate: where the price changes, or the charge stops because a destroy was accepted, it is closed and
    the next one opened. Said again of an open meter, the last word holds (a failed deployment's charge becomes zero).
    """

    meter_id: UUID
    server_id: UUID
    since: datetime
    currency: str = "USD"
    cost_micros_per_hour: int
    charge_micros_per_hour: int
    price_version: int


class MeterClosed(Event, type="meter.closed.v1", producer="billing"):
    """A meter ended, with what it came to. Said again of a closed meter it corrects it: the last word holds.

    A correction follows a fact that arrived late from another topic; a closed meter is never opened again.
    """

    meter_id: UUID
    server_id: UUID
    until: datetime
    seconds: int
    currency: str = "USD"
    cost_micros: int
    charge_micros: int
    price_version: int


class UsageRecorded(Event, type="usage.recorded.v1", producer="billing"):
    """LLM usage of one key in one window, as the difference of two readings of the provider's cumulative figure."""

    meter_id: UUID
    key_hash: str
    unit: Literal["usd_micros"] = "usd_micros"
    window_start: datetime
    window_end: datetime
    cumulative_micros: int
    currency: str = "USD"
    cost_micros: int
    charge_micros: int
    price_version: int


class UsageAnomalyFound(Event, type="usage.anomaly_found.v1", producer="billing"):
    """A cumulative reading was lower than one before; nothing was booked for it."""

    meter_id: UUID
    key_hash: str
    cumulative_micros: int
    highest_micros: int
    read_at: datetime

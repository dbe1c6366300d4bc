"""Cost now, as people see it; money in micro-units."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

_LINE: dict[str, Any] = {
    "kind": "server",
    "quantity": 3600,
    "unit": "second",
    "cost_micros": 5000,
    "charge_micros": 7000,
    "price_version": 1,
}
_COST: dict[str, Any] = {
    "currency": "USD",
    "as_of": "2026-11-21T10:59:40Z",
    "cost_micros": 5000,
    "charge_micros": 7000,
    "lines": [_LINE],
}
_INSTANCE: dict[str, Any] = {
    "instance_id": "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e01",
    "name": "My agent",
    "cost_micros": 5000,
    "charge_micros": 7000,
}


class CostLine(BaseModel):
    """What one kind of thing came to under one price version."""

    kind: Literal["server", "llm"]
    quantity: int
    unit: Literal["second", "usd_micros"]
    cost_micros: int
    charge_micros: int
    price_version: int


class Cost(BaseModel):
    """`cost` is what the operator pays, `charge` what the account is charged; two books."""

    model_config = ConfigDict(json_schema_extra={"examples": [_COST]})

    currency: str = "USD"
    as_of: datetime
    cost_micros: int
    charge_micros: int
    lines: list[CostLine]


class InstanceShare(BaseModel):
    """One instance's part of an account's cost."""

    instance_id: UUID
    name: str | None = Field(description="null for an instance this gateway does not know")
    cost_micros: int
    charge_micros: int


class AccountCost(Cost):
    """The same for an account, with each instance's part."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_COST, "instances": [_INSTANCE]}]})

    instances: list[InstanceShare]

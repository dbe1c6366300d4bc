"""Billing's settings."""

from datetime import timedelta

from pydantic import Field, SecretStr, field_validator

from clawdeploy_billing.default_prices import DEFAULT_PRICES, OWN_PRICES
from clawdeploy_common.settings import ServiceSettings
from clawdeploy_events.billing import Price


class BillingSettings(ServiceSettings):
    """Prices, the management key usage is read with, and how often it is read.

    ``prices`` and ``llm_charge_percent`` are what the newest price book version says: when they differ from it at a start, the
    next version is published. The operator's own machines, which no setting switches on, cost nothing in the plans that ``prices``
    leaves out. ``usage_interval_seconds`` is the time between two readings of a key that spends nothing; a key
    that is new or spent lately is read five times as often.
    """

    port: int = Field(default=8803, ge=0, le=65535)
    openrouter_management_key: SecretStr | None = Field(default=None, validation_alias="OPENROUTER_MANAGEMENT_KEY")
    openrouter_base_url: str = Field(default="https://openrouter.ai/api/v1", validation_alias="OPENROUTER_BASE_URL")
    openrouter_timeout_seconds: float = Field(
        default=10.0, gt=0, le=120, validation_alias="CLAWDEPLOY_BILLING_OPENROUTER_TIMEOUT_SECONDS"
    )
    prices: list[Price] = Field(default=DEFAULT_PRICES, validation_alias="CLAWDEPLOY_BILLING_PRICES", min_length=1)
    llm_charge_percent: int = Field(
        default=100, ge=0, le=10_000, validation_alias="CLAWDEPLOY_BILLING_LLM_CHARGE_PERCENT"
    )
    usage_interval_seconds: float = Field(
        default=60.0, gt=0, le=3600, validation_alias="CLAWDEPLOY_BILLING_USAGE_INTERVAL_SECONDS"
    )
    usage_grace_seconds: float = Field(
        default=60.0, ge=0, le=540, validation_alias="CLAWDEPLOY_BILLING_USAGE_GRACE_SECONDS"
    )

    @field_validator("openrouter_management_key", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @field_validator("prices")
    @classmethod
    def _with_own(cls, prices: list[Price]) -> list[Price]:
        told = {(price.provider, price.plan) for price in prices}
        return [*prices, *(price for price in OWN_PRICES if (price.provider, price.plan) not in told)]

    @property
    def usage_interval(self) -> timedelta:
        """Time between two readings of a key."""
        return timedelta(seconds=self.usage_interval_seconds)

    @property
    def usage_grace(self) -> timedelta:
        """How long after its revocation a key's figure may still grow; below the ten minutes until the key is deleted."""
        return timedelta(seconds=self.usage_grace_seconds)

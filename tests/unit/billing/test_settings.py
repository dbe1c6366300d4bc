"""Billing is configured by its environment alone."""

import json

import pytest
from pydantic import ValidationError

from clawdeploy_billing.settings import BillingSettings

NEEDED = {
    "CLAWDEPLOY_DATABASE_URL": "postgresql://billing:pw@127.0.0.1/db",  # pragma: allowlist secret
    "CLAWDEPLOY_DATABASE_WEB_URL": "postgresql://billing_web:pw@127.0.0.1/db",  # pragma: allowlist secret
    "CLAWDEPLOY_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "CLAWDEPLOY_INTERNAL_SECRET": "x" * 32,
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)


def test_prices_and_rhythm_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    price = {"provider": "process", "plan": "basic", "cost_micros_per_hour": 1, "charge_micros_per_hour": 2}
    monkeypatch.setenv("CLAWDEPLOY_BILLING_PRICES", json.dumps([price]))
    monkeypatch.setenv("CLAWDEPLOY_BILLING_USAGE_INTERVAL_SECONDS", "5")
    monkeypatch.setenv("OPENROUTER_MANAGEMENT_KEY", "sk-or-v1-secret")
    monkeypatch.setenv("OPENROUTER_BASE_URL", "http://127.0.0.1:9/api/v1")
    settings = BillingSettings.model_validate({})
    assert [p.model_dump() for p in settings.prices if p.provider != "own"] == [price]
    assert (settings.usage_interval_seconds, settings.openrouter_base_url) == (5.0, "http://127.0.0.1:9/api/v1")
    assert "sk-or-v1-secret" not in repr(settings)


def test_without_a_key_the_real_provider_is_named_and_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_MANAGEMENT_KEY", "")
    monkeypatch.delenv("OPENROUTER_BASE_URL", raising=False)
    settings = BillingSettings.model_validate({})
    assert settings.openrouter_management_key is None
    assert settings.openrouter_base_url == "https://openrouter.ai/api/v1"
    charges = {(price.provider, price.plan): price.charge_micros_per_hour for price in settings.prices}
    assert (charges["process", "basic"], charges["hetzner", "basic"]) == (6_849, 13_699)


def test_the_operators_own_machines_cost_nothing_where_no_price_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """INVARIANT: no price book leaves out a provider that is always switched on."""
    told = {"provider": "own", "plan": "pro", "cost_micros_per_hour": 3, "charge_micros_per_hour": 4}
    monkeypatch.setenv("CLAWDEPLOY_BILLING_PRICES", json.dumps([told]))
    charges = {(p.provider, p.plan): p.charge_micros_per_hour for p in BillingSettings.model_validate({}).prices}
    assert charges == {("own", plan): 4 if plan == "pro" else 0 for plan in ("free", "basic", "pro", "enterprise")}


def test_an_empty_price_book_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAWDEPLOY_BILLING_PRICES", "[]")
    with pytest.raises(ValidationError):
        BillingSettings.model_validate({})

"""Billing on a migrated database of each test's own, without a broker."""

from collections.abc import AsyncGenerator

import pytest
from tests.engines.databases import Database, Postgres
from tests.integration.billing.books import Books

import clawdeploy_billing
from clawdeploy_billing.main import build
from clawdeploy_billing.models import metadata
from clawdeploy_billing.settings import BillingSettings
from clawdeploy_billing.tariff_keeping import keep_tariffs
from clawdeploy_common.migrating import migrate

INTERNAL_SECRET = "an internal secret that is long enough for tests"  # pragma: allowlist secret


def settings_for(database: Database) -> BillingSettings:
    """Settings of billing on a test's database."""
    return BillingSettings.model_validate(
        {
            "port": 0,
            "database_url": database.url("billing"),
            "database_web_url": database.web_url("billing"),
            "kafka_bootstrap_servers": "127.0.0.1:1",
            "internal_secret": INTERNAL_SECRET,
            "openrouter_management_key": None,
        }
    )


@pytest.fixture(scope="session")
async def billing_template(postgres: Postgres) -> AsyncGenerator[Database]:
    """A template with billing's schema."""
    database = await postgres.create()
    await migrate(
        database.url("billing"), schema="billing", package_file=clawdeploy_billing.__file__, metadata=metadata
    )
    yield database
    await postgres.drop(database)


@pytest.fixture
async def database(postgres: Postgres, billing_template: Database) -> AsyncGenerator[Database]:
    """A migrated database of this test's own."""
    database = await postgres.create(template=billing_template.name)
    yield database
    await postgres.drop(database)


@pytest.fixture
async def books(database: Database) -> AsyncGenerator[Books]:
    """Billing with its first price book published."""
    settings = settings_for(database)
    service, _ = build(settings)
    await keep_tariffs(service.database, settings)
    yield Books(service, settings)
    await service.database.close()

"""Billing beside a cloud world: it reads what the provisioner told, and its cost book is held against the cloud's bill."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Self

from sqlalchemy import text

import clawdeploy_billing
from clawdeploy_billing.main import build
from clawdeploy_billing.models import metadata
from clawdeploy_billing.settings import BillingSettings
from clawdeploy_billing.tariff_keeping import keep_tariffs
from clawdeploy_common.events import SOURCE_PREFIX, Envelope, topic_of
from clawdeploy_common.migrating import migrate
from clawdeploy_common.records import Record
from clawdeploy_common.service import Service
from tests.engines.databases import Database
from tests.light.cloud_world import CloudWorld

_COST = "SELECT coalesce(sum(micros), 0) FROM ledger_lines WHERE book = 'cost' AND meter_kind = 'server'"
_ORPHANS = "SELECT provider_ref FROM orphans WHERE resource = 'server'"


class CloudBooks:
    """The cost book of one world."""

    def __init__(self, world: CloudWorld, service: Service) -> None:
        self._world = world
        self._service = service

    @classmethod
    @asynccontextmanager
    async def of(cls, world: CloudWorld, database: Database) -> AsyncGenerator[Self]:
        """Billing on the world's own database, with its first price book."""
        url, name = database.url("billing"), "billing"
        await migrate(url, schema=name, package_file=clawdeploy_billing.__file__ or "", metadata=metadata)
        settings = BillingSettings.model_validate(
            {
                "port": 0,
                "database_url": url,
                "database_web_url": database.web_url(name),
                "kafka_bootstrap_servers": "127.0.0.1:1",
                "internal_secret": "x" * 32,
                "openrouter_management_key": None,
                "CLAWDEPLOY_BILLING_PRICES": [
                    {
                        "provider": world.kind.name,
                        "plan": "basic",
                        "cost_micros_per_hour": world.kind.hourly_micros,
                        "charge_micros_per_hour": 2 * world.kind.hourly_micros,
                    }
                ],
            }
        )
        service, _ = build(settings)
        await keep_tariffs(service.database, settings)
        try:
            yield cls(world, service)
        finally:
            await service.database.close()

    async def agree_with_the_bill(self) -> None:
        """Law 8: when everything is destroyed, the cost book is the bill without what nobody owned."""
        for row in await self._world.rows("SELECT * FROM outbox ORDER BY key, version"):
            await self._service.inbox.receive([_record(row)])
        lost = {row["provider_ref"] for row in await self._world.rows(_ORPHANS)}
        lines = (await self._world.account.bill())["lines"]
        owned = [line["charged_micros"] for line in lines if line["server_id"] not in lost]
        async with self._service.database.connection() as connection:
            booked = await connection.scalar(text(_COST))
        assert abs(booked - sum(owned)) <= len(owned) * self._world.kind.off_micros, (booked, lines)


def _record(row: Any) -> Record:
    envelope = Envelope(
        id=row["event_id"],
        source=f"{SOURCE_PREFIX}provisioner",
        type=row["type"],
        key=row["key"],
        version=row["version"],
        time=row["time"],
        account_id=row["account_id"],
        correlation_id=row["correlation_id"],
        data=row["data"].encode() if isinstance(row["data"], str) else row["data"],
    )
    return Record(
        topic=topic_of("provisioner"), partition=0, offset=row["id"], headers=envelope.headers(), payload=envelope.data
    )

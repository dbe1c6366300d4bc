"""Billing, put together."""

import structlog
from fastapi import FastAPI

import clawdeploy_billing
from clawdeploy_billing.metrics import measure
from clawdeploy_billing.models import metadata
from clawdeploy_billing.openrouter import OpenRouterKeys
from clawdeploy_billing.projectors import projectors
from clawdeploy_billing.reactors import reactors
from clawdeploy_billing.readings import Rhythm, UsageReader
from clawdeploy_billing.settings import BillingSettings
from clawdeploy_billing.tariff_keeping import keep_tariffs
from clawdeploy_common.http import AsyncBaseTransport
from clawdeploy_common.service import Service

log = structlog.get_logger()


def create_app(settings: BillingSettings | None = None) -> FastAPI:
    """Billing's HTTP application; settings come from the environment when none are given."""
    return build(settings or BillingSettings.model_validate({}))[1]


def build(settings: BillingSettings, *, openrouter: AsyncBaseTransport | None = None) -> tuple[Service, FastAPI]:
    """The service and its application; ``openrouter`` takes the place of the network on the way there."""
    service = Service(
        settings,
        name="billing",
        package_file=clawdeploy_billing.__file__,
        metadata=metadata,
        projectors=projectors,
        reactors=reactors,
        consumes=["api", "provisioner"],
    )

    async def tariffs() -> None:
        await keep_tariffs(service.database, settings)
        await service.stopping.wait()

    service.add_loop("tariffs", tariffs)
    service.add_loop("open-meters", lambda: measure(service.database))
    _add_usage_reader(service, settings, openrouter)
    return service, service.app(title="ClawDeploy billing", routers=[], openapi_url=None)


def _add_usage_reader(service: Service, settings: BillingSettings, transport: AsyncBaseTransport | None) -> None:
    if settings.openrouter_management_key is None:
        service.add_loop("usage-off", lambda: _say_off(service))
        return
    keys = OpenRouterKeys(
        base_url=settings.openrouter_base_url,
        key=settings.openrouter_management_key,
        timeout_s=settings.openrouter_timeout_seconds,
        transport=transport,
    )
    rhythm = Rhythm(interval=settings.usage_interval, grace=settings.usage_grace)
    service.add_loop("usage", UsageReader(service.database, keys, rhythm).run)
    service.on_close(keys.close)


async def _say_off(service: Service) -> None:
    log.warning("llm_metering.off", reason="OPENROUTER_MANAGEMENT_KEY is not set: usage of LLM keys is not read")
    await service.stopping.wait()

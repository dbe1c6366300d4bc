"""The monitor, put together."""

from datetime import timedelta

from fastapi import FastAPI

import clawdeploy_monitor
from clawdeploy_common.http import AsyncBaseTransport
from clawdeploy_common.service import Service
from clawdeploy_monitor.endpoints.observations import observations_router
from clawdeploy_monitor.hysteresis import Patience
from clawdeploy_monitor.models import metadata
from clawdeploy_monitor.prober import Prober
from clawdeploy_monitor.probes import ProbeOptions, Probes
from clawdeploy_monitor.projectors import projectors
from clawdeploy_monitor.reactors import reactors
from clawdeploy_monitor.results import ResultWriter
from clawdeploy_monitor.retention import Retention
from clawdeploy_monitor.settings import MonitorSettings


def create_app(settings: MonitorSettings | None = None) -> FastAPI:
    """The monitor's HTTP application; settings come from the environment when none are given."""
    return build(settings or MonitorSettings.model_validate({}))[1]


def build(settings: MonitorSettings) -> tuple[Service, FastAPI]:
    """The service and its application."""
    service = Service(
        settings,
        name="monitor",
        package_file=clawdeploy_monitor.__file__,
        metadata=metadata,
        projectors=projectors,
        reactors=reactors,
        consumes=["api", "provisioner"],
    )
    writer = ResultWriter(service.database, patience_of(settings))
    probes = probes_of(service, settings)
    service.add_loop("probe-results", writer.run)
    service.add_loop("prober", prober_of(service, settings, probes, writer).run)
    kept = timedelta(hours=settings.monitor_observations_kept_hours)
    service.add_loop("retention", Retention(service.database, kept=kept).run)
    service.on_close(probes.close)
    routers = [observations_router(service.database)]
    return service, service.app(title="ClawDeploy monitor", routers=routers, openapi_url=None)


def patience_of(settings: MonitorSettings) -> Patience:
    """The hysteresis of the settings."""
    return Patience(
        failures_to_unhealthy=settings.monitor_failures_to_unhealthy,
        successes_to_healthy=settings.monitor_successes_to_healthy,
        start=timedelta(seconds=settings.monitor_start_seconds),
        memory=3 * timedelta(seconds=settings.monitor_probe_seconds),
    )


def probes_of(service: Service, settings: MonitorSettings, *, provisioner: AsyncBaseTransport | None = None) -> Probes:
    """Probes by the settings; ``provisioner`` takes the place of the network on the way there."""
    options = ProbeOptions(
        provisioner_url=settings.provisioner_url,
        timeout_s=settings.monitor_probe_timeout_seconds,
        concurrency=settings.monitor_probe_concurrency,
        disk_free_min_bytes=settings.monitor_disk_free_min_bytes,
    )
    return Probes(service.tokens, options, provisioner=provisioner)


def prober_of(service: Service, settings: MonitorSettings, probes: Probes, writer: ResultWriter) -> Prober:
    """A prober by the settings."""
    return Prober(
        service.database,
        probes,
        writer,
        interval=timedelta(seconds=settings.monitor_probe_seconds),
        concurrency=settings.monitor_probe_concurrency,
        channel_every=settings.monitor_channel_every,
    )

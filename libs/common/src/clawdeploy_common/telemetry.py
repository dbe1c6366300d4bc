"""Sending spans to an OpenTelemetry collector, by OTLP over HTTP, when the standard variables name one.

Read from the environment (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/): OTEL_EXPORTER_OTLP_ENDPOINT
or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT with their headers, certificate and timeout; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES;
OTEL_TRACES_SAMPLER; OTEL_BSP_*; OTEL_TRACES_EXPORTER=none and OTEL_SDK_DISABLED=true switch it off. Without an endpoint nothing of the
SDK is even imported: it is 10 MB a service.
"""

import asyncio
import os
import threading
from collections.abc import MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from clawdeploy_common.http import AsyncClient

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
_FLUSH_S = 2.0


def is_configured() -> bool:
    """Whether spans have somewhere to go."""
    return (
        any(os.environ.get(f"OTEL_EXPORTER_OTLP_{infix}ENDPOINT") for infix in ("", "TRACES_"))
        and os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() in {"", "otlp"}
        and os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"
    )


def is_quiet(scope: MutableMapping[str, Any]) -> bool:
    """Whether a request is a machine's look at our health: neither counted nor traced."""
    return scope.get("path") in _QUIET


def traced(client: AsyncClient) -> AsyncClient:
    """The same client, whose calls are spans and carry the trace on to whom they call."""
    if is_configured():
        from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor  # noqa: PLC0415 - paid for when it is used

        HTTPXClientInstrumentor.instrument_client(client)
    return client


class Telemetry:
    """The export of one process; ``close`` sends what is left, within two seconds."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider

    async def close(self) -> None:
        """Send the last spans; a collector that does not answer holds nobody up."""
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # nobody waits any more, the loop is closed
                loop.call_soon_threadsafe(sent.set)

        threading.Thread(target=shut_down, daemon=True, name="telemetry-shutdown").start()
        with suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_S):
                await sent.wait()


def start(service: str) -> Telemetry | None:
    """Begin to export this process's spans; None when no collector is configured."""
    if not is_configured():
        return None
    from opentelemetry import propagate, trace  # noqa: PLC0415 - paid for when it is used
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    from clawdeploy_common.exporting import provider_of  # noqa: PLC0415

    provider = provider_of(service)
    trace.set_tracer_provider(provider)
    propagate.set_global_textmap(TraceContextTextMapPropagator())  # a caller's baggage is not passed on to strangers
    return Telemetry(provider)

"""What is sent to the collector: spans of traces that began with a request, without anything that might be a secret."""

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from urllib.parse import urlsplit, urlunsplit

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, Status, TraceState, get_current_span
from opentelemetry.util.types import Attributes, AttributeValue

from clawdeploy_common.redaction import Redactor

_PATTERNS = Redactor(())
_ADDRESSES = frozenset({"http.url", "url.full", "http.target"})
_DROPPED = frozenset({"url.query"})


def provider_of(service: str) -> TracerProvider:
    """A tracer provider that sends to the collector of the environment; spans leave in batches, from a thread of their own."""
    name = os.environ.get("OTEL_SERVICE_NAME") or f"clawdeploy-{service}"
    named = {"service.name": name, "service.namespace": "clawdeploy", "service.version": version("clawdeploy-common")}
    resource = Resource.create({**named, "service.instance.id": f"{service}-{os.getpid()}"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.sampler = BegunByRequests(provider.sampler)
    provider.add_span_processor(BatchSpanProcessor(Discreet(OTLPSpanExporter())))
    return provider


class BegunByRequests(Sampler):
    """A trace begins with a request: a loop's look at its table every second is none. What goes on is the other sampler's."""

    def __init__(self, other: Sampler) -> None:
        self._other = other

    def should_sample(  # noqa: PLR0917 - the SDK's signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Drop what would begin a trace without a request."""
        if kind is not SpanKind.SERVER and not get_current_span(parent_context).get_span_context().is_valid:
            return SamplingResult(Decision.DROP)
        return self._other.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        """What SDKs show of a sampler."""
        return f"BegunByRequests({self._other.get_description()})"


class Discreet(SpanExporter):
    """Takes out what libraries put into spans and must not leave: query strings, exceptions' texts, whatever looks like a credential."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send cleaned spans."""
        return self._exporter.export([cleaned(span) for span in spans])

    def shutdown(self) -> None:
        """Send no more."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Whether everything was sent."""
        return self._exporter.force_flush(timeout_millis)


def cleaned(span: ReadableSpan) -> ReadableSpan:
    """The same span without its events and its status's description, its attributes redacted."""
    return ReadableSpan(
        name=_PATTERNS.redact(span.name),
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=_cleaned(span.attributes or {}),
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _cleaned(attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    return {name: _value(name, value) for name, value in attributes.items() if name not in _DROPPED}


def _value(name: str, value: AttributeValue) -> AttributeValue:
    if not isinstance(value, str):
        return value
    if name in _ADDRESSES:
        parts = urlsplit(value)
        value = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return _PATTERNS.redact(value)

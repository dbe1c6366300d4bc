"""Traces that cross processes and time: a W3C trace context kept in requests, events and rows (https://www.w3.org/TR/trace-context/).

This is the part that every module may use: it needs OpenTelemetry's API only, and does next to nothing until ``telemetry`` has set
up an exporter. A span names what was done and with what result; it never holds a body, an exception's text or a secret.
"""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from time import time_ns
from typing import Any, Protocol

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

_tracer = trace.get_tracer("clawdeploy")
_propagator = TraceContextTextMapPropagator()


class Told(Protocol):
    """An event that travels: an envelope, or a row of the outbox."""

    @property
    def type(self) -> str:
        """Its type."""
        ...

    @property
    def traceparent(self) -> str | None:
        """The span it was told in."""
        ...


def is_recording() -> bool:
    """Whether spans are kept at all: an exporter was set up."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def current_traceparent() -> str | None:
    """The ``traceparent`` of what is being done now; None outside a trace."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"


def context_of(traceparent: str | None) -> Context:
    """The context that a stored ``traceparent`` names; an empty one when there is none, or none that can be read."""
    return _propagator.extract({"traceparent": traceparent} if traceparent else {}, context=Context())


@contextmanager
def continued(traceparent: str | None) -> Generator[None]:
    """Do something as a part of the trace that began it, however long ago and in whichever process."""
    token = context.attach(context_of(traceparent))
    try:
        yield
    finally:
        context.detach(token)


@contextmanager
def span(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: Context | None = None,
    links: Sequence[Link] = (),
    **attributes: AttributeValue,
) -> Generator[None]:
    """A span around a block; ``__`` in an attribute's name stands for a dot. Of an exception only its class is kept."""
    if not is_recording():
        yield
        return
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    with _tracer.start_as_current_span(
        name,
        context=parent,
        kind=kind,
        attributes=named,
        links=links,
        record_exception=False,
        set_status_on_exception=False,
    ) as opened:
        try:
            yield
        except BaseException as error:
            opened.set_attribute("error.type", type(error).__qualname__)
            opened.set_status(StatusCode.ERROR)
            raise


@contextmanager
def querying(sql: str) -> Generator[None]:
    """A span around a statement, with its text, which holds no values."""
    words = sql.split(maxsplit=1)
    with span(words[0] if words else "SQL", kind=SpanKind.CLIENT, db__system__name="postgresql", db__query__text=sql):
        yield


@contextmanager
def consuming(events: Sequence[Told], *, by: str) -> Generator[None]:
    """A span around the handling of events of one type: part of the first one's trace, linked to the others."""
    if not is_recording():
        yield
        return
    parents = [context_of(event.traceparent) for event in events]
    with span(
        f"process {events[0].type}",
        kind=SpanKind.CONSUMER,
        parent=parents[0],
        links=_links(parents[1:]),
        messaging__system="kafka",
        messaging__operation__type="process",
        messaging__batch__message_count=len(events),
        clawdeploy__handler=by,
    ):
        yield


def published(events: Iterable[Any], *, topic: str, since_ns: int) -> None:
    """Note that the broker has acknowledged events: a span for each that belongs to a trace, from ``since_ns`` until now.

    Events are envelopes or rows of the outbox: what has a type and a traceparent.
    """
    if not is_recording():
        return
    now = time_ns()
    attributes = {
        "messaging.system": "kafka",
        "messaging.operation.type": "send",
        "messaging.destination.name": topic,
    }
    for event in events:
        if event.traceparent is not None:
            parent = context_of(event.traceparent)
            opened = _tracer.start_span(
                f"publish {event.type}",
                context=parent,
                kind=SpanKind.PRODUCER,
                attributes=attributes,
                start_time=since_ns,
            )
            opened.end(now)


def _links(parents: Iterable[Context]) -> list[Link]:
    spans = [trace.get_current_span(parent).get_span_context() for parent in parents]
    return [Link(found) for found in spans if found.is_valid]

"""What a trace is made of, and what leaves with it."""

import os
import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, StatusCode

from clawdeploy_common import telemetry, tracing
from clawdeploy_common.exporting import BegunByRequests, cleaned

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def test_a_stored_trace_is_continued_whoever_records() -> None:
    """INVARIANT: the trace goes on through events and rows even in a process that exports nothing."""
    assert tracing.current_traceparent() is None
    with tracing.continued(TRACEPARENT):
        assert tracing.current_traceparent() == TRACEPARENT
        with tracing.span("nothing is recorded here"):
            assert tracing.current_traceparent() == TRACEPARENT
    assert tracing.current_traceparent() is None


@pytest.mark.parametrize("damaged", [None, "", "nonsense", "00-0-0-01", "00-" + "0" * 32 + "-b7ad6b7169203331-01"])
def test_a_damaged_traceparent_is_no_trace(damaged: str | None) -> None:
    with tracing.continued(damaged):
        assert tracing.current_traceparent() is None


@pytest.mark.parametrize(
    ("given", "configured"),
    [
        ({}, False),
        ({ENDPOINT: "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({ENDPOINT: "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({ENDPOINT: "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_the_standard_variables_decide_whether_spans_leave(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], configured: bool
) -> None:
    for name in (ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert telemetry.is_configured() is configured


def test_a_service_without_a_collector_does_not_even_load_the_sdk() -> None:
    program = (
        "import sys, clawdeploy_common.service; print([m for m in sys.modules if m.startswith('opentelemetry.sdk')])"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_only_a_request_begins_a_trace_and_anything_continues_one() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.sampler = BegunByRequests(provider.sampler)
    tracer = provider.get_tracer("test")
    assert tracer.start_span("POST /v1/instances", kind=SpanKind.SERVER).is_recording()
    assert not tracer.start_span("SELECT", kind=SpanKind.CLIENT).is_recording()
    assert tracer.start_span("SELECT", context=tracing.context_of(TRACEPARENT)).is_recording()


def test_what_might_be_a_secret_is_taken_out_of_a_span() -> None:
    """INVARIANT: no query, no exception's text, nothing that looks like a credential leaves with a span (law 10)."""
    token = "Bearer " + "s3cret" * 8  # pragma: allowlist secret
    span = TracerProvider(shutdown_on_exit=False).get_tracer("test").start_span("GET")
    span.set_attribute("http.url", "https://user:password@example.org/keys?token=hush#part")  # pragma: allowlist secret
    span.set_attribute("url.query", "token=hush")
    span.set_attribute("note", f"said {token}")
    span.set_attribute("count", 3)
    span.record_exception(ValueError("hush"))
    span.set_status(StatusCode.ERROR, "hush")
    sent = cleaned(span)  # pyright: ignore[reportArgumentType] - the SDK's spans are readable
    assert dict(sent.attributes or {}) == {
        "http.url": "https://example.org/keys",
        "note": "said Bearer [redacted]",
        "count": 3,
    }
    assert not sent.events
    assert (sent.status.status_code, sent.status.description) == (StatusCode.ERROR, None)

"""A real, tiny OpenTelemetry collector: OTLP over HTTP (`POST /v1/traces`, protobuf), kept in memory."""

import gzip
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, kw_only=True)
class Received:
    """One span as it arrived."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    service: str
    process: str
    attributes: dict[str, Any]
    events: int
    failed: bool


class Collector:
    """What has arrived so far; ``raw`` is every body, decompressed."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.raw: list[bytes] = []
        self.headers: list[dict[str, str]] = []

    def deploy_of(self, instance_id: str) -> list[Received]:
        """Every span of the trace that deploys an instance, as far as it has arrived."""
        wanted = {"clawdeploy.instance": instance_id, "clawdeploy.operation.kind": "deploy"}
        traces = {span.trace_id for span in self.spans if wanted.items() <= span.attributes.items()}
        return [span for span in self.spans if span.trace_id in traces]

    def take(self, body: bytes) -> None:
        """Keep an export request."""
        request = ExportTraceServiceRequest.FromString(body)
        self.raw.append(body)
        for resource in request.resource_spans:
            about = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [_received(span, about) for span in scope.spans]


def _received(span: Any, about: dict[str, str]) -> Received:
    return Received(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        kind=span.kind,
        service=about["service.name"],
        process=about["service.instance.id"],
        attributes={pair.key: pair.value.string_value or pair.value.int_value for pair in span.attributes},
        events=len(span.events),
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
    )


@contextmanager
def collecting() -> Generator[tuple[Collector, str]]:
    """A collector and its endpoint, as OTEL_EXPORTER_OTLP_ENDPOINT wants it."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.headers.append({name.lower(): value for name, value in self.headers.items()})
            collector.take(gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body)
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

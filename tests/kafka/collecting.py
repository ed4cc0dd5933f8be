"""A collector: takes spans over OTLP/HTTP, as a real one does, and keeps them."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from msgspec import Struct
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Span(Struct, frozen=True):
    """A span as it came; ids in hexadecimal digits, `parent` empty for one that has none."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    links: tuple[tuple[str, str], ...]


class Collector:
    """Listens on 127.0.0.1; `environment` makes a process tell it everything, at once."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._lock = threading.Lock()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    data = gzip.decompress(data)
                collector.take(self.path, data)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def environment(self) -> dict[str, str]:
        """What a traced process is told."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.server.server_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_BSP_MAX_QUEUE_SIZE": "100000",
        }

    def take(self, path: str, data: bytes) -> None:
        """Keeps the spans of one request."""
        assert path == "/v1/traces"
        request = ExportTraceServiceRequest.FromString(data)
        found = [
            _span(_named(group.resource.attributes)["service.name"], one)
            for group in request.resource_spans
            for scope in group.scope_spans
            for one in scope.spans
        ]
        with self._lock:
            self.spans += found

    def named(self, name: str, **attributes: Any) -> list[Span]:
        """The spans of that name whose garant attributes are these."""
        wanted = {f"garant.{key}": value for key, value in attributes.items()}
        with self._lock:
            return [
                one for one in self.spans if one.name == name and wanted.items() <= one.attributes.items()
            ]

    def line(self, span: Span) -> list[Span]:
        """The span and those it follows from, up to the root of its trace."""
        with self._lock:
            by_id = {(one.trace_id, one.span_id): one for one in self.spans}
        found = [span]
        while found[-1].parent and (before := by_id.get((span.trace_id, found[-1].parent))) is not None:
            found.append(before)
        return found


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that runs."""
    collector = Collector()
    serving = threading.Thread(target=collector.server.serve_forever, daemon=True)
    serving.start()
    try:
        yield collector
    finally:
        collector.server.shutdown()
        collector.server.server_close()
        serving.join()


def _span(service: str, one: Any) -> Span:
    links = tuple((each.trace_id.hex(), each.span_id.hex()) for each in one.links)
    ids = (one.trace_id.hex(), one.span_id.hex(), one.parent_span_id.hex())
    times = (one.start_time_unix_nano, one.end_time_unix_nano)
    return Span(service, one.name, *ids, *times, _named(one.attributes), links)


def _named(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}

"""An OpenTelemetry collector on loopback: takes OTLP over HTTP, decodes it, and keeps what arrived.

with Collector() as collector:
    ...  # export to collector.url
    assert collector.spans()["answer"].attributes["headrace.node"] == "answer"
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

STATUSES = {0: "unset", 1: "ok", 2: "error"}
KINDS = {1: "internal", 2: "server", 3: "client"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivedSpan:
    """A span as the collector understood it, with its resource and scope."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str | None
    kind: str
    start_ns: int
    end_ns: int
    status: str
    status_text: str
    attributes: Mapping[str, Any]
    events: Sequence[tuple[str, int, Mapping[str, Any]]]
    resource: Mapping[str, Any]
    scope: tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivedEvent:
    """An event as the collector understood it."""

    name: str
    trace_id: str | None
    span_id: str | None
    time_ns: int
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    scope: tuple[str, str, str]
    body: Any = None
    severity: str = ""


class Collector:
    """Answers each request by the next of ``statuses``, and with 200 after that. Never answers while ``is_deaf``."""

    def __init__(self, statuses: Sequence[int] = (), *, is_deaf: bool = False) -> None:
        self._statuses = list(statuses)
        self._may_answer = threading.Event()
        if not is_deaf:
            self._may_answer.set()
        self.arrived: list[ArrivedSpan] = []
        self.events: list[ArrivedEvent] = []
        self.requests: list[tuple[str, Mapping[str, str]]] = []
        self.metrics: dict[str, list[tuple[Mapping[str, Any], Any]]] = {}
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.take(self)

            def log_message(self, *_: object) -> None:
                """Stay quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Collector:
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._may_answer.set()
        self._server.shutdown()
        self._server.server_close()

    def spans(self) -> dict[str, ArrivedSpan]:
        """What arrived, by span name."""
        return {span.name: span for span in self.arrived}

    def _take_metrics(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        """Metrics come on their own time, so they neither use up a status nor count as a request."""
        self.metrics |= read_metrics(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        request.send_response(200)
        request.send_header("Content-Length", "0")
        request.end_headers()

    def take(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"]))
        self._may_answer.wait()
        if request.path.endswith("/v1/metrics"):
            self._take_metrics(request, body)
            return
        status = self._statuses.pop(0) if self._statuses else 200
        self.requests.append((request.path, dict(request.headers.items())))
        if status == 200:
            if request.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if request.path.endswith("/v1/logs"):
                self.events.extend(read_events(body))
            else:
                self.arrived.extend(read_spans(body))
        request.send_response(status)
        request.send_header("Retry-After", "0")
        request.send_header("Content-Length", "0")
        request.end_headers()


def read_metrics(body: bytes) -> dict[str, list[tuple[Mapping[str, Any], Any]]]:
    """Name to data points: attributes, and ``(count, sum)`` of a histogram or the value of a sum."""
    found: dict[str, list[tuple[Mapping[str, Any], Any]]] = {}
    message = ExportMetricsServiceRequest.FromString(body)
    for metric in (m for r in message.resource_metrics for s in r.scope_metrics for m in s.metrics):
        points = found.setdefault(metric.name, [])
        for point in metric.histogram.data_points:
            points.append((_values(point.attributes), (point.count, point.sum)))
        for number in metric.sum.data_points:
            points.append((_values(number.attributes), getattr(number, number.WhichOneof("value"))))
    return found


def read_spans(body: bytes) -> list[ArrivedSpan]:
    """The spans of one request body."""
    message = ExportTraceServiceRequest.FromString(body)
    return [
        ArrivedSpan(
            name=span.name,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex() or None,
            kind=KINDS[span.kind],
            start_ns=span.start_time_unix_nano,
            end_ns=span.end_time_unix_nano,
            status=STATUSES[span.status.code],
            status_text=span.status.message,
            attributes=_values(span.attributes),
            events=[(event.name, event.time_unix_nano, _values(event.attributes)) for event in span.events],
            resource=_values(of_resource.resource.attributes),
            scope=(of_scope.scope.name, of_scope.scope.version, of_scope.schema_url),
        )
        for of_resource in message.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]


def read_events(body: bytes) -> list[ArrivedEvent]:
    """The events of one request body."""
    message = ExportLogsServiceRequest.FromString(body)
    return [
        ArrivedEvent(
            name=record.event_name,
            trace_id=record.trace_id.hex() or None,
            span_id=record.span_id.hex() or None,
            time_ns=record.time_unix_nano,
            attributes=_values(record.attributes),
            resource=_values(of_resource.resource.attributes),
            scope=(of_scope.scope.name, of_scope.scope.version, of_scope.schema_url),
            body=_value(record.body),
            severity=record.severity_text,
        )
        for of_resource in message.resource_logs
        for of_scope in of_resource.scope_logs
        for record in of_scope.log_records
    ]


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _values(value.kvlist_value.values)
    return getattr(value, kind) if kind is not None else None

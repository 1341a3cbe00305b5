"""The other ways of sending, each against a receiver of its own on loopback: OTLP over gRPC, and Azure Monitor."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.support.runs import a_span

from headrace.config import load_settings
from headrace.telemetry.attributes import flow_attributes, model_request_attributes
from headrace.telemetry.setup import SpanSink, open_span_sink

FLOW = a_span(1, name="invoke_workflow hello", attributes=flow_attributes("hello", 0))
CALL = a_span(2, name="chat gpt", kind="client", parent_id=FLOW.span_id,
              attributes=model_request_attributes("chat", "azure.ai.openai", "gpt", {}))  # fmt: skip


def send(sink: SpanSink) -> tuple[Any, ...]:
    for span in (CALL, FLOW):
        sink(span)
    return sink.close()


@contextmanager
def a_grpc_collector() -> Iterator[tuple[str, list[Any]]]:
    grpc = pytest.importorskip("grpc")
    arrived: list[Any] = []

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc,name-defined]
        def service(self, details: Any) -> Any:
            def take(body: bytes, _: Any) -> bytes:
                arrived.append((details.method, body))
                return b""

            return grpc.unary_unary_rpc_method_handler(take)

    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}", arrived
    finally:
        server.stop(0).wait()


def test_spans_and_metrics_arrive_over_grpc() -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc")
    with a_grpc_collector() as (url, arrived):
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
        assert send(open_span_sink(load_settings(variables))) == ()
    methods = {method.split("/")[1].rsplit(".", 1)[-1]: body for method, body in arrived}
    assert set(methods) == {"TraceService", "MetricsService"}
    assert b"invoke_workflow hello" in methods["TraceService"]


def test_a_dead_grpc_collector_is_said_once() -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc")
    with a_grpc_collector() as (url, _):
        pass
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    (problem,) = send(open_span_sink(load_settings(variables)))
    assert "2 of 2 spans" in problem.what


@contextmanager
def an_ingestion_endpoint(status: int = 200) -> Iterator[tuple[str, list[dict[str, Any]], list[str]]]:
    items: list[dict[str, Any]] = []
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            found = json.loads(body)
            paths.append(self.path)
            items.extend(found)
            answer = {"itemsReceived": len(found), "itemsAccepted": len(found), "errors": []}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/"
        yield (
            f"InstrumentationKey={'1' * 8}-2222-3333-4444-{'5' * 12};IngestionEndpoint={address}",
            items,
            paths,
        )
    finally:
        server.shutdown()
        server.server_close()


def azure_sink(connection: str) -> SpanSink:
    pytest.importorskip("azure.monitor.opentelemetry.exporter")
    return open_span_sink(load_settings({"APPLICATIONINSIGHTS_CONNECTION_STRING": connection}))


def test_azure_monitor_gets_model_calls_by_their_provider() -> None:
    with an_ingestion_endpoint() as (connection, items, paths):
        assert send(azure_sink(connection)) == ()
    found = {item["data"]["baseData"].get("name"): item["data"]["baseData"] for item in items}
    assert (found["chat gpt"]["type"], found["chat gpt"]["target"]) == (
        "GenAI | azure.ai.openai",
        "azure.ai.openai",
    )
    assert found["invoke_workflow hello"]["type"] == "InProc"
    metrics = {
        item["data"]["baseData"]["metrics"][0]["name"]
        for item in items
        if "metrics" in item["data"]["baseData"]
    }
    assert "gen_ai.client.operation.duration" in metrics
    assert set(paths) == {"/v2.1/track"}  # and nothing about the exporter itself


def test_azure_monitor_that_refuses_is_said_without_its_key() -> None:
    with an_ingestion_endpoint(400) as (connection, _, _):
        (problem,) = send(azure_sink(connection))
    assert "2 of 2 spans" in problem.what
    assert "2222-3333" not in str(problem)

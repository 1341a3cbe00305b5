"""From the sink to a collector on loopback: metrics, sampling, content, names, and collectors that misbehave."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from tests.support.otlp_collector import Collector
from tests.support.runs import a_span

from headrace.config import load_settings
from headrace.domain.span import EventRecord, SpanRecord, TraceScope
from headrace.telemetry import attributes as names
from headrace.telemetry.attributes import (
    flow_attributes,
    model_request_attributes,
    model_response_attributes,
    node_attributes,
)
from headrace.telemetry.setup import SilentSink, SpanSink, open_span_sink

S = 10**9
COMMON = TraceScope(common={names.FLOW: "hello", names.ARM: "a"})


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


def open_sink(endpoint: str, **environment: str) -> SpanSink:
    return open_span_sink(load_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **environment}))


def a_call(number: int = 2, **changes: Any) -> SpanRecord:
    return a_span(
        number,
        name="chat gpt",
        kind="client",
        parent_id=f"{1:016x}",
        start_ns=0,
        end_ns=2 * S,
        attributes={
            **model_request_attributes("chat", "openai", "gpt", {}),
            **model_response_attributes(
                input_tokens=5, output_tokens=2, cost_usd=0.25, first_chunk_s=0.5, waited_s=1.5
            ),
        },
        scope=COMMON,
        **changes,
    )


def a_flow(number: int = 1, **changes: Any) -> SpanRecord:
    attributes = flow_attributes("hello", 0)
    return a_span(number, name="invoke_workflow hello", start_ns=0, end_ns=3 * S, attributes=attributes,
                  scope=COMMON, **changes)  # fmt: skip


def send(sink: SpanSink, *spans: SpanRecord) -> tuple[Any, ...]:
    for span in spans:
        sink(span)
    return sink.close()


def test_metrics_are_made_of_spans() -> None:
    with Collector() as collector:
        sink = open_sink(collector.url)
        sink.count("http.server.active_requests", 1, {"http.request.method": "POST"})
        assert send(sink, a_call(), a_flow()) == ()
    found = collector.metrics
    ((about, value),) = found["gen_ai.client.operation.duration"]
    assert value == (1, 2.0)
    assert about == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt",
        "headrace.flow": "hello",
        "headrace.arm": "a",
    }
    tokens = {point["gen_ai.token.type"]: value for point, value in found["gen_ai.client.token.usage"]}
    assert tokens == {"input": (1, 5), "output": (1, 2)}
    assert found["gen_ai.client.operation.time_to_first_chunk"][0][1] == (1, 0.5)
    assert found["headrace.cost"][0][1] == 0.25
    assert found["headrace.quota.wait"][0][1] == (1, 1.5)
    assert found["headrace.flow.duration"] == [({"headrace.flow": "hello", "headrace.arm": "a"}, (1, 3.0))]
    assert found["http.server.active_requests"] == [({"http.request.method": "POST"}, 1)]
    assert "flow_latency" not in found


def test_metrics_and_names_of_prompt_flow_are_an_option() -> None:
    node = a_span(3, name="ask", parent_id=f"{1:016x}", attributes={names.NODE: "ask"}, scope=COMMON)
    call = replace(a_call(4), parent_id=node.span_id)
    with Collector() as collector:
        sink = open_sink(
            collector.url,
            HEADRACE_TRACE_CONVENTIONS="promptflow",
            PF_SERVING_METRICS_COMMON_DIMENSIONS='{"team": "x"}',
        )
        assert send(sink, call, node, a_flow()) == ()
    spans = collector.spans()
    assert spans["hello"].attributes["__computed__.cumulative_token_count.total"] == 7
    assert spans["ask"].attributes["__computed__.cumulative_token_count.prompt"] == 5
    assert not [name for name in spans["hello"].attributes if name.startswith("headrace.tree")]
    found = collector.metrics
    assert {"flow": "hello", "team": "x"}.items() <= found["flow_latency"][0][0].items()
    assert found["flow_latency"][0][1] == (1, 3000.0)
    tokens = {point["token_type"]: value for point, value in found["token_consumption"]}
    assert tokens == {"prompt_tokens": 5, "completion_tokens": 2}


@pytest.mark.parametrize("given", ["", "mine"])
def test_a_process_has_a_name_of_its_own(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", f"service.instance.id={given}" if given else "")
    with Collector() as collector:
        assert send(open_sink(collector.url), a_flow()) == ()
    found = collector.arrived[0].resource["service.instance.id"]
    assert found == given if given else len(found) == 36


def test_metrics_count_what_is_not_sampled() -> None:
    with Collector() as collector:
        sink = open_sink(collector.url, OTEL_TRACES_SAMPLER="always_off")
        assert send(sink, a_call(), a_flow()) == ()
    assert collector.arrived == []
    assert collector.metrics["headrace.flow.duration"]


def test_the_tail_sampler_is_asked() -> None:
    with Collector() as collector:
        sink = open_sink(collector.url, HEADRACE_TRACE_KEEP="errors")
        fine = a_flow(1, trace_id="aa" * 16)
        failed = a_flow(2, trace_id="bb" * 16, status="error")
        assert send(sink, fine, failed) == ()
    assert [span.trace_id for span in collector.arrived] == ["bb" * 16]


def test_content_leaves_redacted() -> None:
    said = {"messages": [{"role": "user", "content": "I am a@b.org, key sk-abcdefghijklmnopqrstu"}]}
    with Collector() as collector:
        sink = open_sink(collector.url, HEADRACE_TRACE_CONTENT="redacted")
        assert sink.scope.has_content
        assert send(sink, a_call(content=said)) == ()
    written = collector.arrived[0].attributes["gen_ai.input.messages"]
    assert json.loads(written)[0]["parts"][0]["content"] == "I am [email], key [key]"


def test_content_in_events_arrives_as_logs() -> None:
    said = {"messages": [{"role": "user", "content": "Hi"}], "answers": []}
    with Collector() as collector:
        sink = open_sink(collector.url, OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="event_only")
        assert send(sink, a_call(content=said)) == ()
    (event,) = collector.events
    assert event.name == "gen_ai.client.inference.operation.details"
    assert event.span_id == collector.arrived[0].span_id
    assert "gen_ai.input.messages" not in collector.arrived[0].attributes


def test_without_a_word_about_content_none_is_taken() -> None:
    with Collector() as collector:
        sink = open_sink(collector.url)
        assert not sink.scope.has_content
        assert send(sink, a_call(content={"texts": ["Hi"]})) == ()
    assert "Hi" not in str(collector.arrived)


def test_content_that_cannot_be_redacted_stays_here(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("bad_redaction")
    module.fail = lambda text: 1 / 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bad_redaction", module)
    with Collector() as collector:
        sink = open_sink(
            collector.url, HEADRACE_TRACE_CONTENT="full", HEADRACE_TRACE_REDACT="bad_redaction:fail"
        )
        (problem,) = send(sink, a_call(content={"texts": ["Hi"]}), a_flow())
    assert "content of 1 spans" in problem.what
    assert len(collector.arrived) == 2
    assert "Hi" not in str(collector.arrived)


def test_events_and_logs_that_cannot_be_redacted_are_sent_without_what_they_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = ModuleType("bad_redaction")
    module.fail = lambda text: 1 / 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bad_redaction", module)
    log = EventRecord(name="", trace_id="ab" * 16, span_id="cd" * 8, time_ns=5, body="Hi", severity="warning")
    said = {"gen_ai.evaluation.explanation": "Hi", "gen_ai.evaluation.score.value": 0.5}
    score = replace(log, name="gen_ai.evaluation.result", body=None, attributes=said)
    with Collector() as collector:
        sink = open_sink(
            collector.url, HEADRACE_TRACE_CONTENT="full", HEADRACE_TRACE_REDACT="bad_redaction:fail"
        )
        sink.take_event(log)
        sink.take_event(score)
        (problem,) = sink.close()
    assert "content of 2 spans and logs" in problem.what
    first, second = collector.events
    assert (first.severity, second.attributes) == ("WARNING", {"gen_ai.evaluation.score.value": 0.5})
    assert "Hi" not in str(collector.events)


@pytest.mark.parametrize(
    ("variable", "name", "operation"),
    [
        ({}, "retrieve", "retrieval"),
        ({}, "faiss_lookup", "retrieval"),
        ({}, "answer", "execute_tool"),
        ({"HEADRACE_TRACE_RETRIEVAL": "answer"}, "answer", "retrieval"),
        ({"HEADRACE_TRACE_RETRIEVAL": ""}, "retrieve", "execute_tool"),
    ],
)
def test_a_node_is_a_retrieval_by_its_name(variable: dict[str, str], name: str, operation: str) -> None:
    content = {"inputs": {"query": "where?"}, "outputs": [{"id": "a"}]}
    node = a_span(1, name=name, attributes=node_attributes(name, "python"), content=content)
    with Collector() as collector:
        assert send(open_sink(collector.url, HEADRACE_TRACE_CONTENT="full", **variable), node) == ()
    found = collector.arrived[0].attributes
    assert found["gen_ai.operation.name"] == operation
    if operation == "retrieval":
        assert found["gen_ai.retrieval.query.text"] == "where?"
        assert json.loads(found["gen_ai.retrieval.documents"]) == [{"id": "a"}]


def test_log_records_arrive_with_their_span() -> None:
    record = EventRecord(name="", trace_id="ab" * 16, span_id="cd" * 8, time_ns=5, body="said sk-abcdefghijklmnopqrstu",
                         severity="warning")  # fmt: skip
    with Collector() as collector:
        sink = open_sink(collector.url)
        sink.take_event(record)
        assert sink.close() == ()
    (event,) = collector.events
    assert (event.body, event.severity) == ("said [key]", "WARNING")
    assert (event.trace_id, event.span_id) == (record.trace_id, record.span_id)


@pytest.mark.parametrize(
    "variable",
    [
        {"HEADRACE_TRACE_CONVENTIONS": "9"},
        {"HEADRACE_TRACE_CONTENT": "some"},
        {"HEADRACE_TRACE_KEEP": "all"},
        {"OTEL_TRACES_SAMPLER": "none"},
        {"HEADRACE_TRACE_REDACT": "nowhere_at_all:f"},
    ],
)
def test_a_wrong_setting_is_a_warning_and_sends_nothing(variable: dict[str, str]) -> None:
    with Collector() as collector:
        sink = open_sink(collector.url, **variable)
        assert isinstance(sink, SilentSink)
        (problem,) = send(sink, a_flow())
    assert (problem.code, problem.severity) == ("C506", "warning")
    assert collector.requests == []


def test_a_worker_sends_nothing_and_takes_down_what_its_run_will_send() -> None:
    settings = load_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h", "HEADRACE_TRACE_CONTENT": "full"})
    worker = replace(settings, exports_telemetry=False)
    sink = open_span_sink(worker)
    assert isinstance(sink, SilentSink)
    assert sink.scope.has_content


@contextmanager
def a_lying_collector(answer: bytes) -> Iterator[str]:
    """Takes connections and answers each with ``answer``: nothing at all, or no HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(100)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx"],
                         ids=["closes", "lies", "breaks off"])  # fmt: skip
def test_a_collector_that_lies_neither_breaks_nor_holds_up_a_run(answer: bytes) -> None:
    with a_lying_collector(answer) as url:
        sink = open_sink(url)
        begun = time.monotonic()
        for number in range(1, 2001):
            sink(a_flow(number))
        assert time.monotonic() - begun < 1
        sink.close()
        assert time.monotonic() - begun < 8


def test_a_function_that_hangs_neither_holds_up_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    may_go = threading.Event()
    module = ModuleType("slow_redaction")
    module.wait = lambda text: str(may_go.wait(20))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "slow_redaction", module)
    with Collector() as collector:
        sink = open_sink(
            collector.url, HEADRACE_TRACE_CONTENT="full", HEADRACE_TRACE_REDACT="slow_redaction:wait"
        )
        sink._close_timeout_s = 0.3  # type: ignore[attr-defined]
        begun = time.monotonic()
        problems = send(sink, a_call(content={"texts": ["Hi"]}), a_flow())
        assert time.monotonic() - begun < 4
        may_go.set()
    assert "2 of 2 spans" in problems[0].what


def test_what_does_not_fit_is_counted() -> None:
    with Collector(is_deaf=True) as collector:
        sink = open_sink(collector.url)
        sink._close_timeout_s = 0.1  # type: ignore[attr-defined]
        sink._spool._max_items = 10  # type: ignore[attr-defined]
        problems = send(sink, *(a_flow(number) for number in range(1, 101)))
    assert "100 of 100 spans" in problems[0].what

"""Against a collector that speaks OTLP over HTTP: what arrives is the promise, not what the SDK is called with."""

from __future__ import annotations

import logging
import socket
import time

import pytest
from tests.support.otlp_collector import Collector
from tests.support.runs import START_NS, a_span

import headrace
from headrace.config import load_settings
from headrace.errors import Problem
from headrace.telemetry.attributes import SCHEMA_URL
from headrace.telemetry.exporter import OtlpSink
from headrace.telemetry.exporters import signal_endpoint
from headrace.telemetry.setup import SpanSink, open_span_sink

LIMIT_S = 5.0


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    # The SDK reads the process environment by itself.
    for name in (
        "OTEL_SERVICE_NAME",
        "OTEL_RESOURCE_ATTRIBUTES",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "HTTP_PROXY",
        "http_proxy",
    ):
        monkeypatch.delenv(name, raising=False)


def open_sink(endpoint: str, **environment: str) -> SpanSink:
    return open_span_sink(load_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **environment}))


def a_closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def warning(problems: tuple[Problem, ...]) -> Problem:
    (problem,) = problems
    assert problem.severity == "warning"
    assert problem.fix
    return problem


def test_spans_arrive_as_they_were_recorded() -> None:
    root = a_span(1, name="invoke_workflow hello", kind="server", status="ok")
    child = a_span(
        2,
        name="chat gpt",
        trace_id=root.trace_id,
        parent_id=root.span_id,
        kind="client",
        status="error",
        status_text="P702 rate-limited",
        attributes={
            "gen_ai.response.finish_reasons": ["stop", "length"],
            "n": 3,
            "f": 0.5,
            "yes": True,
            "t": "ü",
        },
        events=(("retry", START_NS + 7, {"attempt": 2}),),
    )
    with Collector() as collector:
        sink = open_sink(collector.url)
        for span in (child, root):
            sink(span)
        assert sink.close() == ()
    arrived = collector.spans()
    for span in (root, child):
        found = arrived[span.name]
        assert (found.trace_id, found.span_id, found.parent_id) == (
            span.trace_id,
            span.span_id,
            span.parent_id,
        )
        assert (found.start_ns, found.end_ns, found.kind) == (span.start_ns, span.end_ns, span.kind)
        assert (found.status, found.status_text) == (span.status, span.status_text or "")
        assert found.attributes == span.attributes
        assert [tuple(event) for event in found.events] == list(span.events)
        assert found.scope == ("headrace", headrace.__version__, SCHEMA_URL)
        assert found.resource["service.name"] == "headrace"
    assert len(collector.arrived) == 2


def test_values_that_opentelemetry_does_not_know_arrive_as_text() -> None:
    odd = {"none": None, "map": {"a": [1, None]}, "mixed": [1, "a"], "empty": [], "maps": [{"x": 1}]}
    with Collector() as collector:
        sink = open_sink(collector.url)
        sink(a_span(1, attributes=odd))
        assert sink.close() == ()
    assert collector.arrived[0].attributes == {
        "map": '{"a": [1, null]}',
        "mixed": '[1, "a"]',
        "empty": "[]",
        "maps": '[{"x": 1}]',
    }


def test_a_value_that_cannot_be_sent_as_it_is_costs_no_other_span_of_the_batch() -> None:
    odd = {
        "half": "a\ud800ü",
        "halves": ["\ud800", "b"],
        "large": 2**63,
        "larges": [1, -(2**64)],
        "map": {"a": "\ud800"},
    }
    with Collector() as collector:
        sink = open_sink(collector.url)
        sink(a_span(1, attributes=odd))
        sink(a_span(2))
        assert sink.close() == ()
    arrived = collector.spans()
    assert set(arrived) == {"span 1", "span 2"}
    assert arrived["span 1"].attributes == {
        "half": "a?ü",
        "halves": ["?", "b"],
        "large": "0x8000000000000000",
        "larges": ["1", "-0x10000000000000000"],
        "map": '{"a": "?"}',
    }


@pytest.mark.parametrize(
    ("settings", "process", "expected"),
    [
        ({"OTEL_SERVICE_NAME": "mine"}, {}, "mine"),
        ({}, {"OTEL_RESOURCE_ATTRIBUTES": "service.name=theirs,team=a"}, "theirs"),
        ({}, {"OTEL_RESOURCE_ATTRIBUTES": "team=a"}, "headrace"),
    ],
)
def test_the_service_is_named_by_the_environment(
    settings: dict[str, str], process: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in process.items():
        monkeypatch.setenv(name, value)
    with Collector() as collector:
        sink = open_sink(collector.url, **settings)
        sink(a_span())
        sink.close()
    resource = collector.arrived[0].resource
    assert resource["service.name"] == expected
    assert ("team" in resource) is bool(process)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318"}, "http://h:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h/base/"}, "http://h/base/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://h/own"}, "http://h/own"),
        (
            {
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://h/own",
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://other",
            },
            "http://h/own",
        ),
    ],
)
def test_the_endpoint_follows_the_standard(environment: dict[str, str], expected: str) -> None:
    assert signal_endpoint(load_settings(environment), "TRACES", "/v1/traces") == expected


def test_many_spans_arrive_all() -> None:
    with Collector() as collector:
        sink = open_sink(collector.url)
        for number in range(1, 3001):
            sink(a_span(number))
        assert sink.close() == ()
    assert {span.span_id for span in collector.arrived} == {f"{number:016x}" for number in range(1, 3001)}


def test_a_collector_that_recovers_gets_everything() -> None:
    with Collector([503, 429]) as collector:
        sink = open_sink(collector.url)
        sink(a_span())
        assert sink.close() == ()
    assert len(collector.requests) == 3
    assert len(collector.arrived) == 1


def test_a_refusing_collector_is_reported_once() -> None:
    with Collector([400]) as collector:
        sink = open_sink(collector.url)
        for number in (1, 2, 3):
            sink(a_span(number))
        problem = warning(sink.close())
        assert sink.close() == ()
    assert "3 of 3 spans" in problem.what
    assert collector.url.removeprefix("http://") in problem.what


def test_a_dead_collector_neither_breaks_nor_holds_up_a_run(caplog: pytest.LogCaptureFixture) -> None:
    sink = open_sink(f"http://user:secret@127.0.0.1:{a_closed_port()}/base?key=secret")
    for number in range(1, 101):
        sink(a_span(number))
    begun = time.monotonic()
    problem = warning(sink.close())
    assert time.monotonic() - begun < LIMIT_S
    assert "100 of 100 spans" in problem.what
    assert "secret" not in str(problem)


def test_a_collector_that_never_answers_is_left_behind() -> None:
    with Collector(is_deaf=True) as collector:
        sink = open_sink(collector.url)
        assert isinstance(sink, OtlpSink)
        sink._close_timeout_s = 0.1
        sink(a_span())
        begun = time.monotonic()
        assert "1 of 1 spans" in warning(sink.close()).what
        assert time.monotonic() - begun < LIMIT_S


def test_nothing_is_taken_after_closing() -> None:
    with Collector() as collector:
        sink = open_sink(collector.url)
        assert sink.close() == ()
        sink(a_span())
        assert sink.close() == ()
    assert collector.requests == []


def test_a_span_that_cannot_be_sent_is_counted_and_the_others_arrive() -> None:
    with Collector() as collector:
        sink = open_sink(collector.url)
        sink(a_span(1, trace_id="not hexadecimal"))
        sink(a_span(2))
        problem = warning(sink.close())
    assert "1 of 2 spans" in problem.what
    assert [span.name for span in collector.arrived] == ["span 2"]


def test_settings_that_the_exporter_refuses_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "-1")
    sink = open_sink("http://127.0.0.1:9")
    sink(a_span())
    problem = warning(sink.close())
    assert problem.code == "C506"
    assert "127.0.0.1:9" in problem.what


def test_the_terminal_stays_quiet(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # Without a handler of the application, logging itself would print warnings.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    before = list(logging.getLogger("opentelemetry").handlers)
    sink = open_sink(f"http://127.0.0.1:{a_closed_port()}")
    sink(a_span())
    sink.close()
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("opentelemetry").handlers == before

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.runs import a_span

from headrace.config import load_settings
from headrace.telemetry.setup import SilentSink, open_span_sink

ENDPOINT = "http://127.0.0.1:9/"
EXPORTER = "headrace.telemetry.otlp_http"
PACKAGE = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT,
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
        },
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT, "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_nothing_is_exported_unless_it_is_asked_for(environment: dict[str, str]) -> None:
    sink = open_span_sink(load_settings(environment))
    assert isinstance(sink, SilentSink)
    sink(a_span())
    assert sink.close() == ()


def test_a_sink_that_exports_nothing_imports_nothing() -> None:
    code = (
        "import sys; from headrace.config import load_settings; from headrace.telemetry.setup import open_span_sink;"
        "open_span_sink(load_settings({})).close();"
        "print([name for name in sys.modules if name.split('.')[0] in ('opentelemetry', 'requests', 'google')])"
    )
    source = Path(__file__).parents[3] / "src"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": os.fspath(source)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"])
def test_another_protocol_is_a_warning(variable: str) -> None:
    sink = open_span_sink(load_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT, variable: "http/json"}))
    sink(a_span())
    (problem,) = sink.close()
    assert (problem.code, problem.severity) == ("C506", "warning")
    assert variable in problem.what
    assert sink.close() == ()


def test_a_missing_package_is_a_warning_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, EXPORTER, raising=False)
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    sink = open_span_sink(load_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT}))
    sink(a_span())
    (problem,) = sink.close()
    assert (problem.code, problem.severity) == ("C505", "warning")
    assert "headrace[otlp]" in (problem.fix or "")

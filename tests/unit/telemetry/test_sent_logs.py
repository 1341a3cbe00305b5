from __future__ import annotations

import logging

import pytest
from tests.support.otlp_collector import Collector

from headrace.config import load_settings
from headrace.telemetry.sent_logs import send_logs
from headrace.telemetry.setup import open_span_sink
from headrace.telemetry.spans import ActiveSpan


def test_log_records_arrive_with_the_span_they_were_written_in(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as in a program that has set up none
    span = ActiveSpan("ask", trace_id="ab" * 16, parent_id=None, sink=lambda _: None)
    running = [span]
    with Collector() as collector:
        sink = open_span_sink(load_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}))
        stop = send_logs(sink, lambda: running[0] if running else None, str.lower)
        logger = logging.getLogger("my.tool")
        logger.warning("asked with %s", "sk-abcdefghijklmnopqrstu")
        logger.warning("too %s", "many", "values")  # noqa: PLE1205, what a user may write
        running.clear()
        logger.error("No span")
        logging.getLogger("urllib3.pool").warning("about sending")
        stop()
        logger.error("after")
        assert sink.close() == ()
    first, second = sorted(collector.events, key=lambda event: event.time_ns)
    assert (first.body, first.severity, first.trace_id, first.span_id) == (
        "asked with [key]",
        "WARNING",
        span.trace_id,
        span.span_id,
    )
    assert first.attributes["headrace.logger"] == "my.tool"
    assert (second.body, second.severity, second.trace_id) == ("no span", "ERROR", None)
    assert "asked with" in capfd.readouterr().err
    assert logging.getLogger().handlers == []

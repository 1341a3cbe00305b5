"""Log records of code that a flow runs, sent with the ids of the span that they were written in.

What such code writes may hold anything, so this is only done where content may leave.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from headrace.domain.span import EventRecord
from headrace.telemetry.attributes import FUNCTION_NAME, LOGGER
from headrace.telemetry.setup import SpanSink
from headrace.telemetry.spans import ActiveSpan

_OURS = ("opentelemetry", "azure", "urllib3", "grpc", "httpx", "httpcore")
"""Loggers of what sends; their words about sending would be sent again, and again."""


class _SentLogs(logging.Handler):
    """Hands log records to a sink.

    Args:
        sink: Takes them.
        find_span: The span that runs in this context; ``None`` for none.
        mask: Takes the secrets out of a text that were given out so far.
    """

    def __init__(
        self, sink: SpanSink, find_span: Callable[[], ActiveSpan | None], mask: Callable[[str], str]
    ) -> None:
        super().__init__(logging.INFO)
        self._mask = mask
        self._sink = sink
        self._find_span = find_span

    def emit(self, record: logging.LogRecord) -> None:
        """Hand over one record; one whose text cannot be made is left out."""
        if record.name.partition(".")[0] in _OURS:
            return
        try:
            text = record.getMessage()
        except (TypeError, ValueError, KeyError, AttributeError):
            return
        span = self._find_span()
        severity = "error" if record.levelno >= logging.ERROR else "info"
        if record.levelno == logging.WARNING:
            severity = "warning"
        self._sink.take_event(
            EventRecord(
                name="",
                trace_id=span.trace_id if span is not None else None,
                span_id=span.span_id if span is not None else None,
                time_ns=time.time_ns(),
                attributes={LOGGER: record.name, FUNCTION_NAME: record.funcName},
                body=self._mask(text),
                severity=severity,
            )
        )


def send_logs(
    sink: SpanSink, find_span: Callable[[], ActiveSpan | None], mask: Callable[[str], str]
) -> Callable[[], None]:
    """Send log records from now on; gives what ends it.

    A program without handlers of its own sees its warnings on standard error all the same, as logging has it.
    """
    root = logging.getLogger()
    handlers: list[logging.Handler] = [_SentLogs(sink, find_span, mask)]
    if not root.handlers and logging.lastResort is not None:
        handlers.append(logging.lastResort)
    for handler in handlers:
        root.addHandler(handler)

    def stop() -> None:
        for handler in handlers:
            root.removeHandler(handler)

    return stop

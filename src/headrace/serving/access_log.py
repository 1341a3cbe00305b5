"""The access log: one line for each request, as JSON on standard error, as log records to a collector, or both.

A line says who asked what, when, how it went and in which trace; never what was asked or answered. A reader of standard
error that has stopped reading holds up no request: lines wait in a bounded queue, and what does not fit is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from headrace.domain.span import EventRecord
from headrace.telemetry import attributes as names
from headrace.telemetry.setup import SpanSink
from headrace.telemetry.spans import ActiveSpan
from headrace.telemetry.spool import Spool

_EVENT = "headrace.request"
_MAX_LINES = 10_000
_CLOSE_S = 1.0
_FIRST_FAILURE = 500
_SHOWN = {
    "method": names.HTTP_METHOD,
    "path": names.URL_PATH,
    "status": names.HTTP_STATUS,
    "client": names.CLIENT_ADDRESS,
    "user_agent": names.USER_AGENT,
    "test": names.TEST,
    "arm": names.ARM,
    "role": names.ROLE,
    "error": names.ERROR_TYPE,
    "queue_wait_s": names.QUEUE_WAIT,
}


class AccessLog:
    """Writes lines about requests.

    Args:
        write_text: Takes a whole line, with its end; may block. ``None`` where lines go to the collector alone.
        sink: Takes log records; ``None`` where lines go nowhere else.
    """

    def __init__(self, write_text: Callable[[str], None] | None, sink: SpanSink | None) -> None:
        self._sink = sink
        self._lines: Spool[str] | None = None
        if write_text is not None:
            self._lines = Spool(write_text, max_items=_MAX_LINES, name="headrace-access-log")

    def write(self, span: ActiveSpan, request_id: str, took_s: float, n_bytes: int) -> None:
        """Write the line of one request, whose server span has ended."""
        found: dict[str, Any] = {
            "time": datetime.fromtimestamp(span.end_ns / 1e9, UTC).isoformat(timespec="milliseconds"),
            "request_id": request_id,
            "trace_id": span.trace_id,
            "span_id": span.span_id,
            "duration_ms": round(took_s * 1000, 3),
            "bytes": n_bytes,
        }
        attributes = span.attributes
        found |= {word: attributes[name] for word, name in _SHOWN.items() if name in attributes}
        if self._lines is not None:
            self._lines.put(json.dumps(found) + "\n")
        if self._sink is not None and self._sink.takes_events:
            status = attributes.get(names.HTTP_STATUS)
            is_bad = status is None or status >= _FIRST_FAILURE
            said = f"{found['method']} {found.get('path', '')} {status or '-'} {found['duration_ms']} ms"
            self._sink.take_event(
                EventRecord(
                    name=_EVENT,
                    trace_id=span.trace_id,
                    span_id=span.span_id,
                    time_ns=span.end_ns,
                    attributes=dict(attributes),
                    body=said,
                    severity="error" if is_bad else "info",
                )
            )

    def close(self) -> None:
        """Write what is left, for a moment."""
        if self._lines is not None:
            self._lines.close(_CLOSE_S)

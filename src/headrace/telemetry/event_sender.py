"""Events as OpenTelemetry's log records, sent through the SDK; a part of the exporter.

The conventions ask that the result of an evaluation belongs to the span of what was evaluated, which has ended by then:
so it is a log record with that span's ids, and no event of a span. May catch everything, like the exporter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

import headrace
from headrace.domain.span import EventRecord
from headrace.errors import Problem

_SEVERITIES = {"info": SeverityNumber.INFO, "warning": SeverityNumber.WARN, "error": SeverityNumber.ERROR}
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_INT_BITS = 64  # with the sign
_QUEUE_VARIABLE = "OTEL_BLRP_MAX_QUEUE_SIZE"
_QUEUE_EVENTS = 16_384  # evaluations without a model end by the thousand in a second


class EventSender:
    """Hands events to the SDK's batch processor, which is made for the first, and counts what does not arrive."""

    def __init__(
        self,
        make_exporter: Callable[[], LogRecordExporter],
        resource: Resource,
        *,
        place: str,
        schema_url: str | None,
        environment: Mapping[str, str],
    ) -> None:
        self._scope = InstrumentationScope("headrace", headrace.__version__, schema_url)
        self._make_exporter = make_exporter
        self._place = place
        self._resource = resource
        self._max_queue_size = None if environment.get(_QUEUE_VARIABLE) else _QUEUE_EVENTS
        self._lock = Lock()
        self._exporter: _CountingExporter | None = None
        self._processor: BatchLogRecordProcessor | None = None
        self._taken = 0

    def take(self, event: EventRecord) -> None:
        """Take one event; it is sent later, on another thread."""
        with suppress(Exception):  # what was not sent is missing from the count of what was
            with self._lock:
                self._taken += 1
                processor = self._processor or self._open()
            record = ReadWriteLogRecord(
                _log_record(event), resource=self._resource, instrumentation_scope=self._scope
            )
            processor.on_emit(record)

    def _open(self) -> BatchLogRecordProcessor:
        self._exporter = _CountingExporter(self._make_exporter())
        self._processor = BatchLogRecordProcessor(self._exporter, max_queue_size=self._max_queue_size)
        return self._processor

    def shut_down(self) -> None:
        """Send what is left; blocks."""
        if self._processor is not None:
            with suppress(Exception):  # as above
                self._processor.shutdown()  # type: ignore[no-untyped-call]

    def give_up(self) -> None:
        """Send nothing any more."""
        if self._exporter is not None:
            self._exporter.shutdown()

    def complaints(self, n_taken: int) -> tuple[Problem, ...]:
        """What did not arrive, as a warning.

        Args:
            n_taken: Events that were to be sent; those made of spans come on top.
        """
        n_taken = max(n_taken, self._taken)
        lost = n_taken - (self._exporter.n_sent if self._exporter is not None else 0)
        if lost <= 0:
            return ()
        what = f"{lost} of {n_taken} events and logs did not reach the collector at {self._place}."
        fix = "Check that it takes logs, or set OTEL_LOGS_EXPORTER to none."
        return (Problem(code="S807", what=what, fix=fix, severity="warning"),)


class _CountingExporter(LogRecordExporter):
    """Counts the events that arrived."""

    def __init__(self, inner: LogRecordExporter) -> None:
        self._inner = inner
        self._is_shut = False
        self.n_sent = 0

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        if self._is_shut:
            return LogRecordExportResult.FAILURE
        try:
            result = self._inner.export(batch)
        except Exception:  # noqa: BLE001, what was not sent is missing from the count of what was
            result = LogRecordExportResult.FAILURE
        if result is LogRecordExportResult.SUCCESS:
            self.n_sent += len(batch)
        return result

    def force_flush(self, timeout_millis: int = 10_000) -> bool:
        return True  # nothing is held back here

    def shutdown(self) -> None:
        if not self._is_shut:
            self._is_shut = True
            self._inner.shutdown()  # type: ignore[no-untyped-call]


def _log_record(event: EventRecord) -> LogRecord:
    """The SDK's form of an event."""
    context = Context()
    if event.trace_id is not None and event.span_id is not None:
        span = SpanContext(
            int(event.trace_id, 16), int(event.span_id, 16), is_remote=False, trace_flags=_SAMPLED
        )
        context = set_span_in_context(NonRecordingSpan(span), context)
    return LogRecord(
        timestamp=event.time_ns,
        observed_timestamp=event.time_ns,
        context=context,
        severity_number=_SEVERITIES[event.severity],
        severity_text=event.severity.upper(),
        body=_plain(event.body),
        attributes=to_attributes(event.attributes),
        event_name=event.name,
    )


def to_attributes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as OpenTelemetry allows them; those that are nothing are left out."""
    return {name: _attribute(value) for name, value in values.items() if value is not None}


def _attribute(value: Any) -> Any:
    """Plain data as OpenTelemetry allows it: a value, a list of one type, anything else as JSON text."""
    if isinstance(value, str):
        return _sendable(value)
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if value.bit_length() < _INT_BITS else f"{value:#x}"
    if isinstance(value, list | tuple) and value:
        kinds = {type(item) for item in value}
        if len(kinds) == 1 and kinds <= {str, bool, int, float}:
            items = [_attribute(item) for item in value]
            return items if len({type(item) for item in items}) == 1 else [str(item) for item in items]
    return _sendable(json.dumps(value, ensure_ascii=False, default=str))


def _plain(value: Any) -> Any:
    """Plain data in which every text can be sent."""
    if isinstance(value, str):
        return _sendable(value)
    if isinstance(value, Mapping):
        return {_sendable(str(name)): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if not isinstance(value, int) else _attribute(value)


def _sendable(text: str) -> str:
    """The text, with ``?`` for halves of characters: one of them would cost the whole batch."""
    return text if text.isascii() else text.encode(errors="replace").decode()

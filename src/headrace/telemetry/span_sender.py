"""Spans through the SDK's batch processor to one receiver; a part of the exporter, and may catch everything like it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event as SdkEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

import headrace
from headrace.domain.span import SpanRecord
from headrace.telemetry.event_sender import to_attributes

_QUEUE_VARIABLE = "OTEL_BSP_MAX_QUEUE_SIZE"
# The SDK's default of 2,048 spans is less than a second of a batch run of fast lines.
_QUEUE_SPANS = 16_384
_QUEUE_SPANS_WITH_CONTENT = 2_048
_KINDS = {"internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT, "server": SpanKind.SERVER}
_STATUS_CODES = {"unset": StatusCode.UNSET, "ok": StatusCode.OK, "error": StatusCode.ERROR}
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class SpanSender:
    """Hands spans to the SDK and counts those that arrive.

    Args:
        place: Host and port of the receiver, for reports.
        schema_url: OpenTelemetry's schema that the names follow; ``None`` for names of others.
        environment: Says how many spans may wait.
        has_content: Whether spans hold content, of which fewer may wait.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        resource: Resource,
        *,
        place: str,
        schema_url: str | None,
        environment: Mapping[str, str],
        has_content: bool = False,
    ) -> None:
        self.place = place
        self._resource = resource
        self._scope = InstrumentationScope("headrace", headrace.__version__, schema_url)
        self._exporter = _CountingExporter(exporter)
        usual = _QUEUE_SPANS_WITH_CONTENT if has_content else _QUEUE_SPANS
        queue = None if environment.get(_QUEUE_VARIABLE) else usual
        self._processor = BatchSpanProcessor(self._exporter, max_queue_size=queue)

    @property
    def n_sent(self) -> int:
        """Spans that arrived."""
        return self._exporter.n_sent

    @property
    def is_troubled(self) -> bool:
        """Whether the last attempt failed."""
        return self._exporter.is_troubled

    def take(self, span: SpanRecord) -> None:
        """Take one span; it is sent later, on another thread."""
        with suppress(Exception):  # what was not sent is missing from the count of what was
            self._processor.on_end(readable_span(span, self._resource, self._scope))

    def shut_down(self) -> None:
        """Send what is left; blocks."""
        with suppress(Exception):  # as above
            self._processor.shutdown()  # type: ignore[no-untyped-call]

    def give_up(self) -> None:
        """Send nothing any more."""
        self._exporter.shutdown()


class _CountingExporter(SpanExporter):
    """Counts the spans that arrived; ``is_troubled`` while the last attempt failed."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._is_shut = False
        self.n_sent = 0
        self.is_troubled = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._is_shut:
            return SpanExportResult.FAILURE
        try:
            result = self._inner.export(spans)
        except Exception:  # noqa: BLE001, what was not sent is missing from the count of what was
            result = SpanExportResult.FAILURE
        self.is_troubled = result is not SpanExportResult.SUCCESS
        if not self.is_troubled:
            self.n_sent += len(spans)
        return result

    def shutdown(self) -> None:
        if not self._is_shut:
            self._is_shut = True
            self._inner.shutdown()


def readable_span(span: SpanRecord, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    """The SDK's form of a finished span: same ids, times, status, attributes and events."""
    trace_id = int(span.trace_id, 16)
    state = TraceState.from_header([span.scope.trace_state]) if span.scope.trace_state else None
    context = SpanContext(
        trace_id, int(span.span_id, 16), is_remote=False, trace_flags=_SAMPLED, trace_state=state
    )
    parent = None
    if span.parent_id is not None:
        is_remote = span.kind == "server"
        parent = SpanContext(trace_id, int(span.parent_id, 16), is_remote=is_remote, trace_flags=_SAMPLED)
    return ReadableSpan(
        name=span.name,
        context=context,
        parent=parent,
        resource=resource,
        attributes=to_attributes(span.attributes),
        events=[SdkEvent(name, to_attributes(values), timestamp=at) for name, at, values in span.events],
        kind=_KINDS[span.kind],
        status=Status(_STATUS_CODES[span.status], span.status_text if span.status == "error" else None),
        start_time=span.start_ns,
        end_time=span.end_ns,
        instrumentation_scope=scope,
    )

"""Sends finished spans and events to an OpenTelemetry collector over OTLP/HTTP, through the OpenTelemetry SDK.

Imported by name, and only when an OTLP endpoint is set. The SDK batches and sends on a thread of its own. One
of the few modules that may catch everything: whatever fails here is counted and reported once, at the end.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Event, Lock, Thread

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event as SdkEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

import headrace
from headrace.config import Settings
from headrace.domain.span import EventRecord, SpanRecord
from headrace.errors import Problem
from headrace.telemetry.attributes import SCHEMA_URL
from headrace.telemetry.event_sender import EventSender, open_events, place_of, to_attributes
from headrace.telemetry.setup import SilentSink, SpanSink

CLOSE_TIMEOUT_S = 5.0
_PATIENCE_S = 1.0
_DEFAULT_SERVICE = "headrace"
_QUEUE_VARIABLE = "OTEL_BSP_MAX_QUEUE_SIZE"
# The SDK's default of 2,048 spans is less than a second of a batch run of fast lines.
_QUEUE_SPANS = 16_384

_KINDS = {"internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT, "server": SpanKind.SERVER}
_STATUS_CODES = {"unset": StatusCode.UNSET, "ok": StatusCode.OK, "error": StatusCode.ERROR}
_SCOPE = InstrumentationScope("headrace", headrace.__version__, SCHEMA_URL)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_SDK_LOGGER = logging.getLogger("opentelemetry")
_NOT_SENT = "S807"


def open_exporter(settings: Settings) -> SpanSink:
    """A sink that sends spans to ``settings.otlp_endpoint``, or a silent one that warns why it cannot be."""
    endpoint = traces_endpoint(settings)
    place = place_of(endpoint)
    try:
        exporter = _CountingExporter(OTLPSpanExporter(endpoint=endpoint))
        resource = _resource(settings.environment)
        queue = None if settings.environment.get(_QUEUE_VARIABLE) else _QUEUE_SPANS
        processor = BatchSpanProcessor(exporter, max_queue_size=queue)
        return OtlpSink(processor, exporter, resource, place=place, events=open_events(settings, resource))
    except Exception as error:  # noqa: BLE001, whatever the SDK dislikes about the settings
        return SilentSink(
            Problem(
                code="C506",
                what=f"Spans are not exported to {place}: the exporter refuses its settings.",
                fix="Check the environment variables that begin with OTEL_.",
                severity="warning",
                detail=(f"{type(error).__name__}: {error}",),
            )
        )


def traces_endpoint(settings: Settings) -> str:
    """The URL that spans are posted to: the traces variable as it is, the general one with ``/v1/traces``."""
    own = settings.environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return own or f"{(settings.otlp_endpoint or '').rstrip('/')}/v1/traces"


class OtlpSink:
    """Hands spans to the SDK's batch processor and counts what does not arrive.

    Args:
        place: Host and port of the collector, for the report.
        close_timeout_s: Longest time that :meth:`close` takes, seconds.
        events: Sends events; ``None`` where they are not sent.
    """

    def __init__(
        self,
        processor: BatchSpanProcessor,
        exporter: _CountingExporter,
        resource: Resource,
        *,
        place: str,
        close_timeout_s: float = CLOSE_TIMEOUT_S,
        events: EventSender | None = None,
    ) -> None:
        self._events = events
        self._processor = processor
        self._exporter = exporter
        self._resource = resource
        self._place = place
        self._close_timeout_s = close_timeout_s
        self._lock = Lock()
        self._taken = 0
        self._is_closed = False
        self._wakeup = Event()
        self._complaints = _Complaints(self._complain)
        _SDK_LOGGER.addHandler(self._complaints)

    def __call__(self, span: SpanRecord) -> None:
        """Take one span; it is sent later, on another thread."""
        with self._lock:
            if self._is_closed:
                return
            self._taken += 1
        with suppress(Exception):  # what was not sent is missing from the count of what was
            self._processor.on_end(readable_span(span, self._resource))

    @property
    def takes_events(self) -> bool:
        """Whether events are sent."""
        return self._events is not None

    def take_event(self, event: EventRecord) -> None:
        """Take one event; it is sent later, on another thread."""
        if self._events is not None:
            self._events.take(event)

    def close(self) -> tuple[Problem, ...]:
        """Send what is left for at most ``close_timeout_s``, then give up; report what was not sent, once."""
        with self._lock:
            if self._is_closed:
                return ()
            self._is_closed = True
        self._flush()
        _SDK_LOGGER.removeHandler(self._complaints)
        lost = self._taken - self._exporter.n_sent
        problems: tuple[Problem, ...] = ()
        if lost:
            fix = "Check that one takes OTLP over HTTP there, or unset OTEL_EXPORTER_OTLP_ENDPOINT."
            what = f"{lost} of {self._taken} spans did not reach the collector at {self._place}."
            problems = (Problem(code=_NOT_SENT, what=what, fix=fix, severity="warning"),)
        return problems if self._events is None else (*problems, *self._events.complaints())

    def _flush(self) -> None:
        end = time.monotonic() + self._close_timeout_s
        finished = Event()
        self._wakeup.clear()
        Thread(target=self._shut_down, args=(finished,), name="headrace-spans-close", daemon=True).start()
        if not self._exporter.is_troubled:
            self._wakeup.wait(self._close_timeout_s)
        # A collector that refuses gets one more moment, not the whole time: most often nobody listens there.
        finished.wait(max(0.0, min(_PATIENCE_S, end - time.monotonic())))
        if not finished.is_set():
            self._exporter.shutdown()
            if self._events is not None:
                self._events.give_up()
            finished.wait(_PATIENCE_S / 2)

    def _shut_down(self, finished: Event) -> None:
        # The SDK flushes without a time limit, hence a thread that can be left behind.
        with suppress(Exception):  # what was not sent is missing from the count of what was
            self._processor.shutdown()  # type: ignore[no-untyped-call]
        if self._events is not None:
            self._events.shut_down()
        finished.set()
        self._wakeup.set()

    def _complain(self) -> None:
        self._exporter.is_troubled = True
        self._wakeup.set()


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


class _Complaints(logging.Handler):
    """Keeps the SDK's log messages off a terminal without logging, and notices those of the exporter."""

    def __init__(self, on_complaint: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._on_complaint = on_complaint

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("opentelemetry.exporter"):
            self._on_complaint()


def readable_span(span: SpanRecord, resource: Resource) -> ReadableSpan:
    """The SDK's form of a finished span: same ids, times, status, attributes and events."""
    trace_id = int(span.trace_id, 16)
    context = SpanContext(trace_id, int(span.span_id, 16), is_remote=False, trace_flags=_SAMPLED)
    parent = None
    if span.parent_id is not None:
        parent = SpanContext(trace_id, int(span.parent_id, 16), is_remote=False, trace_flags=_SAMPLED)
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
        instrumentation_scope=_SCOPE,
    )


def _resource(environment: Mapping[str, str]) -> Resource:
    found = Resource.create({}, SCHEMA_URL)
    name = environment.get("OTEL_SERVICE_NAME")
    if not name and str(found.attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service"):
        name = _DEFAULT_SERVICE
    return found.merge(Resource({SERVICE_NAME: name})) if name else found

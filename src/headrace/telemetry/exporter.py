"""Sends finished spans, events and metrics to where the settings say, through the OpenTelemetry SDK.

Imported by name, and only when something is to leave. What is handed over is queued and treated on a thread of its
own; the SDK batches and sends on others. One of the few modules that may catch everything: whatever fails here is
counted and reported once, at the end.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Any
from uuid import uuid4

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource

import headrace
from headrace.config import Settings
from headrace.domain.span import EventRecord, SpanRecord, TraceScope
from headrace.errors import HeadraceError, Problem
from headrace.telemetry.content import content_policy
from headrace.telemetry.conventions import choose_conventions
from headrace.telemetry.event_sender import EventSender
from headrace.telemetry.exporters import Exporters
from headrace.telemetry.metrics import Measurement, SpanMetrics
from headrace.telemetry.redaction import load_redaction
from headrace.telemetry.retrieval import mark_retrieval
from headrace.telemetry.sampling import TailSampler, head_sampler, tail_rule
from headrace.telemetry.setup import SilentSink, SpanSink
from headrace.telemetry.span_sender import SpanSender
from headrace.telemetry.spool import Spool
from headrace.telemetry.stages import Item, Rules, SpanStages

CLOSE_TIMEOUT_S = 5.0
_PATIENCE_S = 1.0
_DEFAULT_SERVICE = "headrace"
_MAX_WAITING = 65_536
# With content, an item may hold megabytes.
_MAX_WAITING_WITH_CONTENT = 2_048
_LOGGERS = ("opentelemetry", "azure")
_NOT_SENT = "S807"


def open_exporter(
    settings: Settings,
    openers: Sequence[Callable[[Settings, Resource], Exporters]],
    problems: Sequence[Problem] = (),
) -> SpanSink:
    """A sink that sends to every receiver that ``openers`` open, or a silent one that warns why it cannot be.

    Args:
        settings: What the environment says.
        openers: One for each receiver.
        problems: Warnings to be handed over with those of the sink.
    """
    receivers: Sequence[Exporters] = ()
    try:
        resource = _resource(settings.environment)
        receivers = [open_exporters(settings, resource) for open_exporters in openers]
        return OtlpSink(settings, _rules(settings), receivers, resource, problems)
    except HeadraceError as error:
        return SilentSink(*(_as_warning(problem) for problem in error.problems))
    except Exception as error:  # noqa: BLE001, whatever the SDK dislikes about the settings
        places = " and ".join(item.place for item in receivers) or "what the environment names"
        return SilentSink(
            Problem(
                code="C506",
                what=f"Spans are not exported to {places}: the exporter refuses its settings.",
                fix="Check the environment variables that begin with OTEL_ and APPLICATIONINSIGHTS_.",
                severity="warning",
                detail=(f"{type(error).__name__}: {error}",),
            )
        )


def _rules(settings: Settings) -> Rules:
    policy = content_policy(settings)
    tail = tail_rule(settings.environment)
    return Rules(
        conventions=choose_conventions(settings.environment),
        content=policy,
        redact=load_redaction(settings, is_redacted=policy.is_redacted),
        head=head_sampler(settings.environment),
        tail=TailSampler(tail) if tail is not None else None,
        mark=mark_retrieval(settings.environment),
    )


class _Delivery:
    """Hands what leaves to every receiver."""

    def __init__(self, spans: Sequence[SpanSender], events: Sequence[EventSender]) -> None:
        self.spans = spans
        self.events = events

    def span(self, span: SpanRecord) -> None:
        for sender in self.spans:
            sender.take(span)

    def event(self, event: EventRecord) -> None:
        for sender in self.events:
            sender.take(event)


class OtlpSink:
    """Queues spans, events and measurements for the receivers, and counts what does not arrive.

    Args:
        rules: What is done to spans before they leave.
        receivers: Where they go.
        resource: What all of them are about.
        problems: What has gone wrong before.

    Attributes:
        scope: What a trace of this process begins with.
    """

    def __init__(
        self,
        settings: Settings,
        rules: Rules,
        receivers: Sequence[Exporters],
        resource: Resource,
        problems: Sequence[Problem] = (),
    ) -> None:
        self._problems = tuple(problems)
        environment = settings.environment
        schema = rules.conventions[0].schema_url
        self.scope = TraceScope(is_passed_on=True, has_content=rules.content.is_taken, share=rules.head.share)
        self._close_timeout_s = CLOSE_TIMEOUT_S
        self._lock = Lock()
        self._is_closed = False
        self._wakeup = Event()
        spans = [
            SpanSender(
                item.spans(),
                resource,
                place=item.place,
                schema_url=schema,
                environment=environment,
                has_content=rules.content.is_taken,
            )
            for item in receivers
            if item.spans is not None
        ]
        events = [
            EventSender(item.events, resource, place=item.place, schema_url=schema, environment=environment)
            for item in receivers
            if item.events is not None
        ]
        self._metric_exporters = [item.metrics() for item in receivers if item.metrics is not None]
        self._meters = _meter_provider(self._metric_exporters, resource)
        meter = (self._meters or NoOpMeterProvider()).get_meter("headrace", headrace.__version__, schema)
        metrics = SpanMetrics(meter, rules.conventions, environment) if self._meters is not None else None
        self._delivery = _Delivery(spans, events)
        self._stages = SpanStages(rules, metrics, self._delivery)
        most = _MAX_WAITING_WITH_CONTENT if rules.content.is_taken else _MAX_WAITING
        self._spool: Spool[Item] = Spool(self._stages.handle, max_items=most, name="headrace-spans")
        self._complaints = _Complaints(self._complain)
        for name in _LOGGERS:
            logging.getLogger(name).addHandler(self._complaints)

    def __call__(self, span: SpanRecord) -> None:
        """Take one span; it is treated and sent later, on other threads."""
        self._spool.put(span)

    @property
    def takes_events(self) -> bool:
        """Whether events are sent."""
        return bool(self._delivery.events)

    def take_event(self, event: EventRecord) -> None:
        """Take one event; it is sent later, on another thread."""
        if self._delivery.events:
            self._spool.put(event)

    def count(self, name: str, change: int, attributes: Mapping[str, Any]) -> None:
        """Change what is counted under a name."""
        if self._meters is not None:
            self._spool.put(Measurement(name=name, change=change, attributes=attributes))

    def close(self) -> tuple[Problem, ...]:
        """Send what is left for at most ``close_timeout_s``, then give up; report what was not sent, once."""
        with self._lock:
            if self._is_closed:
                return ()
            self._is_closed = True
        if self._flush():  # else a thread that was left behind may still have something to say
            for name in _LOGGERS:
                logging.getLogger(name).removeHandler(self._complaints)
        return (*self._problems, *self._lost_spans(), *self._lost_content(), *self._lost_events())

    def _lost_spans(self) -> tuple[Problem, ...]:
        n_taken = self._spool.n_taken[SpanRecord]
        problems = []
        for sender in self._delivery.spans:
            lost = n_taken - self._stages.n_left_out - sender.n_sent
            if lost > 0:
                what = f"{lost} of {n_taken} spans did not reach the collector at {sender.place}."
                fix = "Check that a collector listens there, or unset OTEL_EXPORTER_OTLP_ENDPOINT."
                problems.append(Problem(code=_NOT_SENT, what=what, fix=fix, severity="warning"))
        return tuple(problems)

    def _lost_content(self) -> tuple[Problem, ...]:
        count = self._stages.n_unredacted
        if not count:
            return ()
        what = f"The content of {count} spans and logs was left away: the function in HEADRACE_TRACE_REDACT failed."
        fix = "Let it return a text for every text."
        return (Problem(code="C506", what=what, fix=fix, severity="warning"),)

    def _lost_events(self) -> tuple[Problem, ...]:
        n_taken = self._spool.n_taken[EventRecord]
        return tuple(problem for sender in self._delivery.events for problem in sender.complaints(n_taken))

    def _flush(self) -> bool:
        """Whether all threads came to an end."""
        end = time.monotonic() + self._close_timeout_s
        finished = Event()
        self._wakeup.clear()
        Thread(target=self._shut_down, args=(finished,), name="headrace-spans-close", daemon=True).start()
        if not any(sender.is_troubled for sender in self._delivery.spans):
            self._wakeup.wait(self._close_timeout_s)
        # A collector that refuses gets one more moment, not the whole time: most often nobody listens there.
        finished.wait(max(0.0, min(_PATIENCE_S, end - time.monotonic())))
        if not finished.is_set():
            for sender in self._delivery.spans:
                sender.give_up()
            for receiver in self._delivery.events:
                receiver.give_up()
            for exporter in self._metric_exporters:
                with suppress(Exception):  # as above
                    exporter.shutdown()
            finished.wait(_PATIENCE_S / 2)
        return finished.is_set()

    def _shut_down(self, finished: Event) -> None:
        # The SDK flushes without a time limit, hence threads that can be left behind.
        self._spool.close(self._close_timeout_s)
        with suppress(Exception):  # what was not sent is missing from the count of what was
            self._stages.flush()
        work: list[Callable[[], None]] = [sender.shut_down for sender in self._delivery.spans]
        work += [sender.shut_down for sender in self._delivery.events]
        if self._meters is not None:
            work.append(self._close_meters)
        threads = [Thread(target=job, daemon=True) for job in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        finished.set()
        self._wakeup.set()

    def _close_meters(self) -> None:
        if self._meters is not None:
            with suppress(Exception):  # metrics of a collector that takes none are not worth a word
                self._meters.shutdown(timeout_millis=self._close_timeout_s * 1000)

    def _complain(self) -> None:
        self._wakeup.set()


def _meter_provider(exporters: Sequence[MetricExporter], resource: Resource) -> MeterProvider | None:
    if not exporters:
        return None
    readers = [PeriodicExportingMetricReader(exporter) for exporter in exporters]
    return MeterProvider(metric_readers=readers, resource=resource, shutdown_on_exit=False)


class _Complaints(logging.Handler):
    """Keeps the SDK's log messages off a terminal without logging, and notices those of the exporter of spans."""

    def __init__(self, on_complaint: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._on_complaint = on_complaint

    def emit(self, record: logging.LogRecord) -> None:
        # Many collectors take spans alone; what they say to the rest is no reason to hurry.
        if "exporter" in record.name and not any(word in record.name for word in ("metric", "log_exporter")):
            self._on_complaint()


def _as_warning(problem: Problem) -> Problem:
    return Problem(
        code=problem.code,
        what=f"Spans are not exported. {problem.what}",
        fix=problem.fix,
        severity="warning",
        detail=problem.detail,
    )


def _resource(environment: Mapping[str, str]) -> Resource:
    # Processes that serve together, or run one after the other, must not be taken for one by what adds up metrics.
    found = Resource({SERVICE_INSTANCE_ID: str(uuid4())}).merge(Resource.create({}))
    name = environment.get("OTEL_SERVICE_NAME")
    if not name and str(found.attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service"):
        name = _DEFAULT_SERVICE
    return found.merge(Resource({SERVICE_NAME: name})) if name else found

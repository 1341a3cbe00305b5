"""Finished spans and events in OpenTelemetry's data model, as they are kept with a run and exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceScope:
    """What all spans of one trace share in this process. It is not kept with them.

    Attributes:
        is_sampled: What the caller has decided about the trace; ``None`` where nobody has.
        share: The share of traces that leave where the caller has decided nothing, from 0 to 1; see
            :func:`headrace.telemetry.spans.is_in_share`.
        trace_state: The caller's ``tracestate``, to be passed on as it is.
        baggage: The caller's ``baggage``, to be passed on as it is.
        is_passed_on: Whether requests to model services name the span that they belong to.
        has_content: Whether spans take down what goes in and comes out.
        common: Attributes that metrics of every span are told apart by, such as the arm.
    """

    is_sampled: bool | None = None
    share: float = 1.0
    trace_state: str = ""
    baggage: str = ""
    is_passed_on: bool = False
    has_content: bool = False
    common: Mapping[str, Any] = field(default_factory=dict)


NO_SCOPE = TraceScope()


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanRecord:
    """One span.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        parent_id: Span id of the parent, ``None`` for a root.
        kind: internal, client or server.
        start_ns, end_ns: Nanoseconds since the Unix epoch, UTC.
        status: unset, ok or error.
        status_text: Description of an error.
        attributes: OpenTelemetry attribute names to plain values.
        events: ``(name, time_ns, attributes)`` each.
        content: What went in and came out, by the names of :mod:`headrace.telemetry.messages`, where the trace takes it
            down. It leaves with the span and is not kept with it.
        scope: What the trace shares; not kept either.
    """

    name: str
    trace_id: str
    span_id: str
    parent_id: str | None
    start_ns: int
    end_ns: int
    kind: str = "internal"
    status: str = "unset"
    status_text: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[tuple[str, int, Mapping[str, Any]], ...] = ()
    content: Mapping[str, Any] | None = field(default=None, compare=False)
    scope: TraceScope = field(default=NO_SCOPE, compare=False)

    @property
    def duration_ms(self) -> float:
        """Wall time in milliseconds."""
        return (self.end_ns - self.start_ns) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """Something that happened, of its own beside spans: OpenTelemetry's log record with a name.

    Attributes:
        trace_id, span_id: The span that it is about; ``None`` where that is not known.
        time_ns: Nanoseconds since the Unix epoch, UTC.
        attributes: OpenTelemetry attribute names to plain values.
        body: What is said; ``None`` for an event that its name and attributes say.
        severity: info, warning or error.
    """

    name: str
    trace_id: str | None
    span_id: str | None
    time_ns: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    severity: str = "info"

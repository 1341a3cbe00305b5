"""Finished spans and events in OpenTelemetry's data model, as they are kept with a run and exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
    """

    name: str
    trace_id: str | None
    span_id: str | None
    time_ns: int
    attributes: Mapping[str, Any] = field(default_factory=dict)

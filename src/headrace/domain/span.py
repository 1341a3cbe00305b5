"""A finished span in OpenTelemetry's data model, as it is kept with a run and exported."""

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

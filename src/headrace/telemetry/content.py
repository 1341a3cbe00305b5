"""What goes in and comes out, as spans take it down: names of the parts, and where people have said that it may go.

Nothing is taken down unless somebody asks for it; see ``HEADRACE_TRACE_CONTENT``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from headrace.config import Settings
from headrace.errors import Problem, UsageError

MODE_VARIABLE: Final = "HEADRACE_TRACE_CONTENT"
PLACE_VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentPlaces:
    """Where what went in and came out is written: on spans, in events of their own, both or neither."""

    on_spans: bool = False
    in_events: bool = False


_MODES = ("none", "redacted", "full")
_PLACES = {
    "true": ContentPlaces(on_spans=True),
    "span_only": ContentPlaces(on_spans=True),
    "event_only": ContentPlaces(in_events=True),
    "span_and_event": ContentPlaces(on_spans=True, in_events=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentPolicy:
    """Whether content leaves, and how.

    Attributes:
        places: Where it is written; nowhere where it does not leave.
        is_redacted: Whether more than keys is taken out.
    """

    places: ContentPlaces = ContentPlaces()
    is_redacted: bool = False

    @property
    def is_taken(self) -> bool:
        """Whether spans take content down."""
        return self.places.on_spans or self.places.in_events


def content_policy(settings: Settings) -> ContentPolicy:
    """What the settings say: our variable about how much, OpenTelemetry's about where.

    OpenTelemetry's alone asks for all of it. Keys are taken out in any case.

    Raises:
        UsageError: C506 for a word that our variable does not take.
    """
    mode = settings.environment.get(MODE_VARIABLE, "").strip().lower()
    if mode and mode not in _MODES:
        what = f"The environment variable {MODE_VARIABLE} must be one of: {', '.join(_MODES)}."
        raise UsageError(Problem(code="C506", what=what, fix=f"Set {MODE_VARIABLE} to one of them."))
    places = _PLACES.get(settings.environment.get(PLACE_VARIABLE, "").strip().lower())
    if mode == "none" or (not mode and places is None):
        return ContentPolicy()
    return ContentPolicy(places=places or ContentPlaces(on_spans=True), is_redacted=mode == "redacted")

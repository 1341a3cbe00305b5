"""Where finished spans and events go besides the store: nowhere, or to the collector that the environment names."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Protocol, cast

from headrace.config import Settings
from headrace.domain.span import EventRecord, SpanRecord
from headrace.errors import Problem

_EXPORTER = ("headrace.telemetry.exporter", "open_exporter")
_PROTOCOL_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"


_CONTENT_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_CONTENT_WORDS = ("true", "event_only", "span_and_event")


class SpanSink(Protocol):
    """Takes finished spans and events. Never raises, never waits; may be called from any thread."""

    @property
    def takes_events(self) -> bool:
        """Whether events leave this process: else there is no need to find out what they are about."""
        ...

    def __call__(self, span: SpanRecord) -> None:
        """Take one span."""
        ...

    def take_event(self, event: EventRecord) -> None:
        """Take one event."""
        ...

    def close(self) -> tuple[Problem, ...]:
        """Send what is left, within a time limit, and say once what went wrong: warnings, never errors."""
        ...


class SilentSink:
    """Drops every span. ``problems`` say why, where that is not what was asked for."""

    __slots__ = ("_problems",)

    def __init__(self, *problems: Problem) -> None:
        self._problems = problems

    takes_events = False

    def __call__(self, span: SpanRecord) -> None:
        """Drop one span."""

    def take_event(self, event: EventRecord) -> None:
        """Drop one event."""

    def close(self) -> tuple[Problem, ...]:
        """Hand over the problems, once."""
        problems, self._problems = self._problems, ()
        return problems


def open_span_sink(settings: Settings) -> SpanSink:
    """Open the sink that the settings ask for; imports nothing unless an OTLP endpoint is set.

    What stands in the way of exporting is a warning of ``close``: telemetry never stops a run.
    """
    environment = settings.environment
    if settings.otlp_endpoint is None or environment.get("OTEL_TRACES_EXPORTER", "").strip() == "none":
        return SilentSink()
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return SilentSink()
    variable = next((name for name in _PROTOCOL_VARIABLES if environment.get(name)), None)
    if variable is not None and environment[variable].strip() != _PROTOCOL:
        return SilentSink(_other_protocol(variable))
    try:
        module = importlib.import_module(_EXPORTER[0])
    except ImportError as error:
        return SilentSink(_missing_extra(error))
    return cast("Callable[[Settings], SpanSink]", getattr(module, _EXPORTER[1]))(settings)


def captures_content(settings: Settings) -> bool:
    """Whether events may hold content, such as the explanation of a score; OpenTelemetry's own switch."""
    return settings.environment.get(_CONTENT_VARIABLE, "").strip().lower() in _CONTENT_WORDS


def _other_protocol(variable: str) -> Problem:
    return Problem(
        code="C506",
        what=f"Spans are not exported: {variable} asks for a protocol that headrace does not speak.",
        fix=f"Set {variable} to {_PROTOCOL}, and the endpoint to the collector's HTTP port, usually 4318.",
        severity="warning",
    )


def _missing_extra(error: ImportError) -> Problem:
    return Problem(
        code="C505",
        what="Spans are not exported: the package opentelemetry-exporter-otlp-proto-http is not installed.",
        fix="Install it with: pip install 'headrace[otlp]', or unset OTEL_EXPORTER_OTLP_ENDPOINT.",
        severity="warning",
        detail=(str(error),),
    )

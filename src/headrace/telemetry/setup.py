"""Where finished spans, events and metrics go besides the store: nowhere, or where the environment says."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Protocol, cast

from headrace.config import Settings, load_settings
from headrace.domain.span import NO_SCOPE, EventRecord, SpanRecord, TraceScope
from headrace.errors import Problem, UsageError
from headrace.telemetry.content import content_policy

_EXPORTER = ("headrace.telemetry.exporter", "open_exporter")
HTTP, GRPC, AZURE = "http/protobuf", "grpc", "azuremonitor"
EXPORTERS: Mapping[str, str] = {
    HTTP: "headrace.telemetry.otlp_http",
    GRPC: "headrace.telemetry.otlp_grpc",
    AZURE: "headrace.telemetry.azure_monitor",
}
"""What sends, by the protocol; each is reached by name, because its packages are an extra."""

_PACKAGES = {
    HTTP: ("otlp", "opentelemetry-exporter-otlp-proto-http", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    GRPC: ("otlp-grpc", "opentelemetry-exporter-otlp-proto-grpc", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    AZURE: (
        "azuremonitor",
        "azure-monitor-opentelemetry-exporter",
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
    ),
}
_PROTOCOL_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_AZURE_VARIABLE = "APPLICATIONINSIGHTS_CONNECTION_STRING"
_OTHER_ENDPOINTS = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT")
_SIGNALS = ("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER")


class SpanSink(Protocol):
    """Takes finished spans, events and counts. Never raises, never waits; may be called from any thread."""

    @property
    def takes_events(self) -> bool:
        """Whether events leave this process: else there is no need to find out what they are about."""
        ...

    @property
    def scope(self) -> TraceScope:
        """What a trace begins with: whether it takes down content, and whether its ids are passed on."""
        ...

    def __call__(self, span: SpanRecord) -> None:
        """Take one span."""
        ...

    def take_event(self, event: EventRecord) -> None:
        """Take one event."""
        ...

    def count(self, name: str, change: int, attributes: Mapping[str, Any]) -> None:
        """Change a metric that goes up and down."""
        ...

    def close(self) -> tuple[Problem, ...]:
        """Send what is left, within a time limit, and say once what went wrong: warnings, never errors."""
        ...


class SilentSink:
    """Drops everything. ``problems`` say why, where that is not what was asked for."""

    __slots__ = ("_problems", "scope")

    def __init__(self, *problems: Problem, scope: TraceScope = NO_SCOPE) -> None:
        self._problems = problems
        self.scope = scope

    takes_events = False

    def __call__(self, span: SpanRecord) -> None:
        """Drop one span."""

    def take_event(self, event: EventRecord) -> None:
        """Drop one event."""

    def count(self, name: str, change: int, attributes: Mapping[str, Any]) -> None:
        """Drop one change."""

    def close(self) -> tuple[Problem, ...]:
        """Hand over the problems, once."""
        problems, self._problems = self._problems, ()
        return problems


class _OpenExporter(Protocol):
    def __call__(self, settings: Settings, openers: list[Any], problems: list[Problem]) -> SpanSink: ...


def open_span_sink(settings: Settings) -> SpanSink:
    """Open the sink that the settings ask for; imports nothing unless something is to leave.

    What stands in the way of exporting is a warning of ``close``: telemetry never stops a run.
    """
    wanted = _wanted(settings)
    if not wanted:
        return SilentSink()
    if not settings.exports_telemetry:  # a worker; what it makes leaves with its run
        policy = content_policy(settings)
        return SilentSink(scope=TraceScope(is_passed_on=True, has_content=policy.is_taken))
    openers: list[Any] = []
    problems: list[Problem] = []
    for protocol in wanted:
        if protocol not in EXPORTERS:
            problems.append(_other_protocol(settings))
            continue
        try:
            openers.append(importlib.import_module(EXPORTERS[protocol]).open_exporters)
        except ImportError as error:
            problems.append(_missing_extra(protocol, error))
    if not openers:
        return SilentSink(*problems)
    module = importlib.import_module(_EXPORTER[0])
    return cast("_OpenExporter", getattr(module, _EXPORTER[1]))(settings, openers, problems)


def sending_extras(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Extras of headrace without which a process that has these variables would send nothing.

    Args:
        variables: Names and values; what has a value that nobody knows yet, such as a secret, has any text.
    """
    told = {
        name: value for name, value in variables.items() if name.startswith(("OTEL_", "APPLICATIONINSIGHTS_"))
    }
    return tuple(_PACKAGES[way][0] for way in _wanted(load_settings(told)) if way in _PACKAGES)


def captures_content(settings: Settings) -> bool:
    """Whether events of their own may hold content, such as the explanation of a score."""
    try:
        policy = content_policy(settings)
    except UsageError:  # said when the sink is closed
        return False
    word = settings.environment.get("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "").strip().lower()
    return policy.is_taken and (policy.places.in_events or word != "span_only")


def _wanted(settings: Settings) -> list[str]:
    """The ways of sending that the environment names."""
    environment = settings.environment
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    if all(environment.get(name, "").strip() == "none" for name in _SIGNALS):
        return []
    found = []
    if settings.otlp_endpoint is not None or any(environment.get(name) for name in _OTHER_ENDPOINTS):
        variable = _protocol_variable(settings)
        found.append(environment[variable].strip() if variable is not None else HTTP)
    if environment.get(_AZURE_VARIABLE):
        found.append(AZURE)
    return found


def _protocol_variable(settings: Settings) -> str | None:
    return next((name for name in _PROTOCOL_VARIABLES if settings.environment.get(name)), None)


def _other_protocol(settings: Settings) -> Problem:
    variable = _protocol_variable(settings)
    return Problem(
        code="C506",
        what=f"Spans are not exported: {variable} asks for a protocol that headrace does not speak.",
        fix=f"Set {variable} to {HTTP} or {GRPC}, and the endpoint to the port for it, usually 4318 or 4317.",
        severity="warning",
    )


def _missing_extra(protocol: str, error: ImportError) -> Problem:
    extra, package, variable = _PACKAGES[protocol]
    return Problem(
        code="C505",
        what=f"Spans are not exported: the package {package} is not installed.",
        fix=f"Install it with: pip install 'headrace[{extra}]', or unset {variable}.",
        severity="warning",
        detail=(str(error),),
    )

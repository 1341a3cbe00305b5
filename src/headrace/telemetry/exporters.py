"""What a way of sending has to offer: OTLP over HTTP or gRPC, Azure Monitor; each a module that is reached by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from opentelemetry.sdk._logs.export import LogRecordExporter
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExporter

from headrace.config import Settings

_OFF = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporters:
    """The SDK's exporters of one receiver, made when they are asked for; ``None`` for what it does not get.

    Attributes:
        place: Host and port, for reports.
    """

    place: str
    spans: Callable[[], SpanExporter] | None = None
    events: Callable[[], LogRecordExporter] | None = None
    metrics: Callable[[], MetricExporter] | None = None


OpenExporters = Callable[[Settings, Resource], Exporters]
"""What each of the modules offers as ``open_exporters``."""


def signal_endpoint(settings: Settings, signal: str, path: str = "") -> str | None:
    """Where a signal goes: its own variable as it is, else the general one with ``path``; ``None`` for nowhere.

    Args:
        settings: Hold the variables.
        signal: TRACES, METRICS or LOGS.
        path: What the general address is extended by.
    """
    environment = settings.environment
    if environment.get(f"OTEL_{signal}_EXPORTER", "").strip() == _OFF:
        return None
    own = environment.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    general = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    return own or (f"{general.rstrip('/')}{path}" if general else None)


def place_of(endpoint: str) -> str:
    """Host and port alone: the rest of a URL may hold a key."""
    url = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}")
    return f"{url.hostname}:{url.port}" if url.port else str(url.hostname)

"""Azure Monitor without a collector: the extra ``azuremonitor``, Microsoft's exporter alone.

Imported by name, only when ``APPLICATIONINSIGHTS_CONNECTION_STRING`` is set. The exporter would report on itself to
Microsoft, ask there for settings, and keep what it cannot send in files; all three are switched off.
"""

from __future__ import annotations

from azure.monitor.opentelemetry.exporter import (
    AzureMonitorLogExporter,
    AzureMonitorMetricExporter,
    AzureMonitorTraceExporter,
)
from opentelemetry.sdk.resources import Resource

from headrace.config import Settings, set_default_variables
from headrace.telemetry.exporters import Exporters, place_of

VARIABLE = "APPLICATIONINSIGHTS_CONNECTION_STRING"
_SILENT = (
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED",
)
_DEFAULT_PLACE = "https://dc.services.visualstudio.com"


class _ResourceOnly:
    """What the exporter wants of a tracer provider; without one it fails while it sends."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource


def open_exporters(settings: Settings, resource: Resource) -> Exporters:
    """The exporters of the Application Insights resource that the connection string names."""
    connection = settings.environment[VARIABLE]
    set_default_variables(dict.fromkeys(_SILENT, "true"))
    common = {"connection_string": connection, "disable_offline_storage": True}
    off = {
        signal
        for signal in ("TRACES", "LOGS", "METRICS")
        if settings.environment.get(f"OTEL_{signal}_EXPORTER", "").strip() == "none"
    }
    return Exporters(
        place=place_of(_ingestion_endpoint(connection)),
        spans=None
        if "TRACES" in off
        else lambda: AzureMonitorTraceExporter(tracer_provider=_ResourceOnly(resource), **common),
        events=None if "LOGS" in off else lambda: AzureMonitorLogExporter(**common),
        metrics=None if "METRICS" in off else lambda: AzureMonitorMetricExporter(**common),
    )


def _ingestion_endpoint(connection: str) -> str:
    """Where a connection string sends; the key in it is nobody's business."""
    pairs = dict(part.split("=", 1) for part in connection.split(";") if "=" in part)
    found = {name.strip().lower(): value.strip() for name, value in pairs.items()}
    return found.get("ingestionendpoint") or _DEFAULT_PLACE

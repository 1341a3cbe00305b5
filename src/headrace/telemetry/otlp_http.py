"""OTLP over HTTP: the extra ``otlp``. Imported by name, only when an OTLP endpoint is set."""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource

from headrace.config import Settings
from headrace.telemetry.exporters import Exporters, place_of, signal_endpoint


def open_exporters(settings: Settings, _: Resource) -> Exporters:
    """The exporters of the collector that the settings name."""
    traces = signal_endpoint(settings, "TRACES", "/v1/traces")
    logs = signal_endpoint(settings, "LOGS", "/v1/logs")
    metrics = signal_endpoint(settings, "METRICS", "/v1/metrics")
    return Exporters(
        place=place_of(traces or metrics or logs or ""),
        spans=(lambda: OTLPSpanExporter(endpoint=traces)) if traces else None,
        events=(lambda: OTLPLogExporter(endpoint=logs)) if logs else None,
        metrics=(lambda: OTLPMetricExporter(endpoint=metrics)) if metrics else None,
    )

"""OTLP over gRPC: the extra ``otlp-grpc``. Imported by name, only when the protocol of an OTLP endpoint is ``grpc``."""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource

from headrace.config import Settings
from headrace.telemetry.exporters import Exporters, place_of, signal_endpoint


def open_exporters(settings: Settings, _: Resource) -> Exporters:
    """The exporters of the collector that the settings name; an address that begins with http:// is not encrypted."""
    traces = signal_endpoint(settings, "TRACES")
    logs = signal_endpoint(settings, "LOGS")
    metrics = signal_endpoint(settings, "METRICS")
    return Exporters(
        place=place_of(traces or metrics or logs or ""),
        spans=(lambda: OTLPSpanExporter(endpoint=traces)) if traces else None,
        events=(lambda: OTLPLogExporter(endpoint=logs)) if logs else None,
        metrics=(lambda: OTLPMetricExporter(endpoint=metrics)) if metrics else None,
    )

"""Spans in OpenTelemetry's data model: recorded cheaply, exported through the SDK when a collector is set.

The only home of the ``opentelemetry`` packages, which are imported by ``exporter`` alone and only when an
OTLP endpoint is set. Telemetry never breaks a run. May import: formats and below, never providers or store.
"""

"""Metrics through the OpenTelemetry SDK, made of finished spans; a part of the exporter.

Every span counts, whether it leaves or not. The names are those of the conventions where they have one, else ours; with
prompt flow's conventions its own metrics are kept as well, in milliseconds as it does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.metrics import Counter, Histogram, Meter, UpDownCounter

from headrace.domain.span import SpanRecord
from headrace.telemetry import attributes as names
from headrace.telemetry.conventions import Conventions, map_attributes

STOCK = "promptflow"
DIMENSIONS_VARIABLE = "PF_SERVING_METRICS_COMMON_DIMENSIONS"
_MODEL = (names.OPERATION_NAME, names.PROVIDER_NAME, names.REQUEST_MODEL, names.RESPONSE_MODEL,
          names.SERVER_ADDRESS, names.SERVER_PORT, names.ERROR_TYPE)  # fmt: skip
_REQUEST = (names.HTTP_METHOD, names.HTTP_ROUTE, names.HTTP_STATUS, names.URL_SCHEME, names.PROTOCOL_VERSION,
            names.ERROR_TYPE)  # fmt: skip
_NODE = (names.NODE, names.NODE_KIND, names.ERROR_TYPE)
_FLOW = (names.ERROR_TYPE,)
_COMMON = (names.FLOW, names.ARM)
# As the conventions ask for durations of models and of requests, and for tokens.
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_SHORT = (0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
_MILLISECONDS = (1, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000, 25000, 50000, 75000,
                 100000, 300000)  # fmt: skip
_MAX_KEPT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A change of something that is counted: requests in flight."""

    name: str
    change: int
    attributes: Mapping[str, Any]


class SpanMetrics:
    """Records what finished spans say.

    Args:
        meter: Of the SDK.
        chosen: Names the attributes.
        environment: Holds prompt flow's variable for dimensions that all metrics have.
    """

    def __init__(self, meter: Meter, chosen: Sequence[Conventions], environment: Mapping[str, str]) -> None:
        self._meter = meter
        self._chosen = tuple(chosen)
        self._given = _dimensions(environment.get(DIMENSIONS_VARIABLE, ""))
        self._kept: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._stock = (
            _StockMetrics(meter, self._given) if any(item.name == STOCK for item in chosen) else None
        )
        self._operation = self._histogram("gen_ai.client.operation.duration", "s", _SECONDS)
        self._first_chunk = self._histogram("gen_ai.client.operation.time_to_first_chunk", "s", _SECONDS)
        self._usage = self._histogram("gen_ai.client.token.usage", "{token}", _TOKENS)
        self._flow = self._histogram("headrace.flow.duration", "s", _SECONDS)
        self._node = self._histogram("headrace.node.duration", "s", _SECONDS)
        self._quota_wait = self._histogram("headrace.quota.wait", "s", _SECONDS)
        self._queue_wait = self._histogram("headrace.queue.wait", "s", _SHORT)
        self._request = self._histogram("http.server.request.duration", "s", _SHORT)
        self._cost: Counter = meter.create_counter("headrace.cost", "{USD}", "What model calls cost.")
        self._counts: dict[str, UpDownCounter] = {}

    def record(self, span: SpanRecord) -> None:
        """Count one finished span."""
        attributes = span.attributes
        took_s = (span.end_ns - span.start_ns) / 1e9
        if names.REQUEST_MODEL in attributes:
            self._record_call(span, took_s)
        elif names.NODE in attributes:
            self._node.record(took_s, self._about(span, _NODE))
        elif attributes.get(names.OPERATION_NAME) == names.INVOKE_WORKFLOW:
            self._flow.record(took_s, self._about(span, _FLOW))
        elif span.kind == "server":
            about = self._about(span, _REQUEST)
            self._request.record(took_s, about)
            if names.QUEUE_WAIT in attributes:
                self._queue_wait.record(attributes[names.QUEUE_WAIT], about)
        if self._stock is not None:
            self._stock.record(span, took_s)

    def count(self, measurement: Measurement) -> None:
        """Count one change."""
        counter = self._counts.get(measurement.name)
        if counter is None:
            counter = self._meter.create_up_down_counter(measurement.name, "{request}")
            self._counts[measurement.name] = counter
        counter.add(measurement.change, {**measurement.attributes, **self._given})

    def _record_call(self, span: SpanRecord, took_s: float) -> None:
        attributes = span.attributes
        about = self._about(span, _MODEL)
        self._operation.record(took_s, about)
        for name, kind in ((names.INPUT_TOKENS, "input"), (names.OUTPUT_TOKENS, "output")):
            if name in attributes:
                self._usage.record(attributes[name], {**about, names.TOKEN_TYPE: kind})
        if names.TIME_TO_FIRST_CHUNK in attributes:
            self._first_chunk.record(attributes[names.TIME_TO_FIRST_CHUNK], about)
        if names.COST in attributes:
            self._cost.add(attributes[names.COST], about)
        if names.QUOTA_WAIT in attributes:
            self._quota_wait.record(attributes[names.QUOTA_WAIT], about)

    def _about(self, span: SpanRecord, wanted: tuple[str, ...]) -> dict[str, Any]:
        """The attributes that measurements of a span are told apart by, named by the conventions; few differ."""
        attributes, common = span.attributes, span.scope.common
        key = (*[attributes.get(name) for name in wanted], *[common.get(name) for name in _COMMON])
        found = self._kept.get(key)
        if found is None:
            about = {
                name: value for name, value in zip((*wanted, *_COMMON), key, strict=True) if value is not None
            }
            ours = {name: value for name, value in about.items() if name.startswith("headrace.")}
            found = {**map_attributes(about, self._chosen), **ours, **self._given}
            if len(self._kept) < _MAX_KEPT:
                self._kept[key] = found
        return found

    def _histogram(self, name: str, unit: str, bounds: Sequence[float]) -> Histogram:
        return self._meter.create_histogram(name, unit, explicit_bucket_boundaries_advisory=list(bounds))


class _StockMetrics:
    """Prompt flow's metrics of its endpoint (promptflow-format: 10)."""

    def __init__(self, meter: Meter, given: Mapping[str, str]) -> None:
        self._given = given
        self._latency = {
            name: meter.create_histogram(name, explicit_bucket_boundaries_advisory=list(_MILLISECONDS))
            for name in ("Flow_Latency", "Node_Latency", "RPC_Latency")
        }
        self._requests = {
            name: meter.create_counter(name) for name in ("Flow_Request", "Node_Request", "RPC_Request")
        }
        self._tokens = meter.create_counter("Token_Consumption")

    def record(self, span: SpanRecord, took_s: float) -> None:
        """Count one finished span, if prompt flow counts its kind."""
        attributes = span.attributes
        failed = attributes.get(names.ERROR_TYPE, "")
        about = {"flow": str(span.scope.common.get(names.FLOW, "default")), **self._given}
        if names.REQUEST_MODEL in attributes:
            about["api_call"] = span.name.partition(" ")[0]
            self._count("RPC", took_s, about, {"exception": failed})
        elif names.NODE in attributes:
            about["node"] = attributes[names.NODE]
            self._count_tokens(span, about)
            about["run_status"] = "Failed" if span.status == "error" else "Completed"
            self._count("Node", took_s, about, {"exception": failed})
        elif attributes.get(names.OPERATION_NAME) == names.INVOKE_WORKFLOW:
            about["response_code"] = "200" if span.status != "error" else "400"
            self._count("Flow", took_s, {**about, "response_type": "default"}, {"exception": failed})

    def _count(self, kind: str, took_s: float, about: dict[str, str], failure: dict[str, str]) -> None:
        self._latency[f"{kind}_Latency"].record(took_s * 1000, about)
        self._requests[f"{kind}_Request"].add(1, {**about, **failure})

    def _count_tokens(self, span: SpanRecord, about: dict[str, str]) -> None:
        for name, kind in (
            (names.TREE_INPUT_TOKENS, "prompt_tokens"),
            (names.TREE_OUTPUT_TOKENS, "completion_tokens"),
        ):
            if span.attributes.get(name):
                self._tokens.add(span.attributes[name], {**about, "llm_engine": "", "token_type": kind})


def _dimensions(text: str) -> dict[str, str]:
    """What prompt flow's variable says; nothing where it is no object."""
    try:
        given = json.loads(text) if text else {}
    except ValueError:
        return {}
    return {str(name): str(value) for name, value in given.items()} if isinstance(given, dict) else {}

"""Builders of runs, lines and spans for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from headrace.domain.run import COMPLETED, LineResult, NodeResult, RunSpec, Usage
from headrace.domain.span import SpanRecord

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
START_NS = 1_767_323_045_678_901_234


def a_time(minutes: float = 0) -> datetime:
    return START + timedelta(minutes=minutes)


def a_spec(name: str = "first", **changes: Any) -> RunSpec:
    fields: dict[str, Any] = {"flow_path": "flows/hello", "flow_name": "hello", "flow_digest": "ab" * 32}
    return RunSpec(name=name, **{**fields, **changes})


def a_span(number: int = 1, **changes: Any) -> SpanRecord:
    fields: dict[str, Any] = {
        "name": f"span {number}",
        "trace_id": f"{number:032x}",
        "span_id": f"{number:016x}",
        "parent_id": None,
        "start_ns": START_NS,
        "end_ns": START_NS + 1_500_000,
        "attributes": {"headrace.node": "answer", "gen_ai.usage.input_tokens": 12},
    }
    return SpanRecord(**{**fields, **changes})


def a_line(number: int = 0, **changes: Any) -> LineResult:
    fields: dict[str, Any] = {
        "status": COMPLETED,
        "inputs": {"question": f"question {number}"},
        "outputs": {"answer": f"answer {number}"},
        "nodes": (
            NodeResult(node="ask", status=COMPLETED, output="…", start_ns=START_NS, end_ns=START_NS + 5),
        ),
        "usage": Usage(calls=1, prompt_tokens=10, completion_tokens=2, cost_usd=0.25),
        "start_ns": START_NS,
        "end_ns": START_NS + 2_000_000,
        "trace_id": f"{number + 1:032x}",
        "spans": (a_span(number + 1),),
    }
    return LineResult(line_number=number, **{**fields, **changes})

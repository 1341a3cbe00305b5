from __future__ import annotations

from headrace.domain.run import COMPLETED, FAILED, NodeResult
from headrace.domain.span import SpanRecord
from headrace.errors import Problem
from headrace.telemetry.api_calls import render_calls
from headrace.telemetry.attributes import model_response_attributes, node_attributes

SECOND = 1_000_000_000
KEYS = "name type inputs output start_time end_time error children node_name parent_id id function system_metrics"


def a_span(name: str, span_id: str, parent: str | None, start_s: int = 1, **changes: object) -> SpanRecord:
    fields = {"start_ns": start_s * SECOND, "end_ns": (start_s + 1) * SECOND, **changes}
    return SpanRecord(name=name, trace_id="t", span_id=span_id, parent_id=parent, **fields)  # type: ignore[arg-type]


NODE = a_span("ask", "n", "f", attributes=node_attributes("ask", "llm"))
MODEL = a_span(
    "chat gpt",
    "m",
    "n",
    start_s=2,
    attributes={
        "gen_ai.operation.name": "chat",
        **model_response_attributes(input_tokens=5, output_tokens=2),
    },
)
TRACED = a_span("helper", "h", "n", attributes={"code.function.name": "Tools.helper"}, start_s=1)
RESULT = NodeResult(node="ask", status=COMPLETED, inputs={"q": "hi"}, output="hello")


def test_a_node_has_its_own_call_with_what_it_called_below_it_in_order_of_time() -> None:
    calls = render_calls([MODEL, TRACED, NODE, a_span("flow", "f", None)], [RESULT])
    assert list(calls) == ["ask"]
    (call,) = calls["ask"]
    assert " ".join(call) == KEYS
    assert (call["name"], call["type"], call["node_name"], call["parent_id"]) == (
        "ask",
        "Function",
        "ask",
        "",
    )
    assert (call["inputs"], call["output"], call["error"]) == ({"q": "hi"}, "hello", None)
    assert [(child["name"], child["type"], child["function"]) for child in call["children"]] == [
        ("helper", "Function", "Tools.helper"),
        ("chat gpt", "LLM", "chat gpt"),
    ]


def test_a_model_call_counts_its_tokens() -> None:
    (call,) = render_calls([NODE, MODEL], [RESULT])["ask"]
    assert call["system_metrics"] == {}
    assert call["children"][0]["system_metrics"] == {
        "prompt_tokens": 5,
        "completion_tokens": 2,
        "total_tokens": 7,
    }
    assert (call["children"][0]["start_time"], call["children"][0]["end_time"]) == (2.0, 3.0)


def test_what_failed_says_so() -> None:
    failed = NodeResult(node="ask", status=FAILED, problem=Problem(code="E602", what="No."))
    model = a_span("chat gpt", "m", "n", status="error", status_text="P702 rate-limited")
    (call,) = render_calls([NODE, model], [failed])["ask"]
    assert call["error"]["message"] == "No."
    assert call["children"][0]["error"] == {"message": "P702 rate-limited", "type": "P702 rate-limited"}


def test_spans_without_a_record_of_their_node_are_left_out() -> None:
    assert render_calls([NODE], []) == {}

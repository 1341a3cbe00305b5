"""Spans in the names of prompt flow's own tracing, for dashboards that exist (promptflow-format: 11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.domain.span import SpanRecord
from headrace.telemetry import attributes as names
from headrace.telemetry.messages import as_json
from headrace.telemetry.spans import line_run_id

_CALLS = {
    names.CHAT: ("openai_chat", "LLM"),
    names.TEXT_COMPLETION: ("openai_completion", "LLM"),
    names.EMBEDDINGS: ("openai_embeddings", "Embedding"),
    names.RETRIEVAL: ("retrieval", "Retrieval"),
}
_INDENT = 2


def stock_name(span: SpanRecord) -> str:
    """What prompt flow calls the span: flows and nodes by their own names, model calls by the API."""
    operation = span.attributes.get(names.OPERATION_NAME)
    if operation == names.INVOKE_WORKFLOW:
        return str(span.attributes.get(names.FLOW, span.name))
    call = _CALLS.get(str(operation))
    return call[0] if call is not None and names.NODE not in span.attributes else span.name


def stock_attributes(span: SpanRecord, has_content: bool) -> dict[str, Any]:  # noqa: FBT001 - one place
    """The attributes that prompt flow writes on a span; with its content where that may be written."""
    attributes = span.attributes
    operation = str(attributes.get(names.OPERATION_NAME))
    found: dict[str, Any] = {"framework": "promptflow", "span_type": _span_type(span)}
    if operation == names.INVOKE_WORKFLOW:
        found |= _line(span)
    else:
        found["function"] = attributes.get(names.FUNCTION_NAME, stock_name(span))
        found["node_name"] = attributes.get(names.NODE)
    if attributes.get(names.REQUEST_MODEL) is not None:
        found |= _tokens(
            "llm.usage.", attributes.get(names.INPUT_TOKENS), attributes.get(names.OUTPUT_TOKENS)
        )
        found["llm.response.model"] = attributes.get(names.RESPONSE_MODEL)
    found["request_id"] = attributes.get(names.REQUEST_ID)
    if names.TREE_INPUT_TOKENS in attributes:
        found |= _tokens(
            "__computed__.cumulative_token_count.",
            attributes[names.TREE_INPUT_TOKENS],
            attributes.get(names.TREE_OUTPUT_TOKENS),
            short=True,
        )
    if has_content and span.content:
        found |= _content(span.content)
    return {name: value for name, value in found.items() if value is not None}


def stock_events(span: SpanRecord) -> tuple[tuple[str, int, Mapping[str, Any]], ...]:
    """Content in prompt flow's events, each with its ``payload``."""
    content = span.content or {}
    into, out_of = _in_and_out(content)
    found = [
        ("promptflow.function.inputs", span.start_ns, into),
        ("promptflow.function.output", span.end_ns, out_of),
    ]
    answers = content.get("answers") or ()
    if answers and isinstance(answers[0], Mapping) and "message" in answers[0]:
        found.append(("promptflow.llm.generated_message", span.end_ns, answers[0]["message"]))
    return tuple(
        (name, at, {"payload": as_json(value, _INDENT)}) for name, at, value in found if value is not None
    )


def _span_type(span: SpanRecord) -> str:
    operation = str(span.attributes.get(names.OPERATION_NAME))
    if operation == names.INVOKE_WORKFLOW:
        return "Flow"
    return _CALLS[operation][1] if operation in _CALLS else "Function"


def _line(span: SpanRecord) -> dict[str, Any]:
    attributes = span.attributes
    run = attributes.get(names.RUN)
    return {
        "execution_target": span.scope.common.get(names.FLOW_KIND),
        "batch_run_id": run,
        "line_run_id": line_run_id(span.trace_id) if run is None and len(span.trace_id) == 32 else None,
        "line_number": attributes.get(names.LINE_NUMBER) if run is not None else None,
        "is_aggregation": names.LINE_NUMBER not in attributes or None,
    }


def _tokens(prefix: str, prompt: Any, completion: Any, *, short: bool = False) -> dict[str, Any]:
    if prompt is None and completion is None:
        return {}
    end = "" if short else "_tokens"
    counts = {"prompt": prompt, "completion": completion, "total": (prompt or 0) + (completion or 0)}
    return {f"{prefix}{name}{end}": count for name, count in counts.items()}


def _in_and_out(content: Mapping[str, Any]) -> tuple[Any, Any]:
    into = content.get("inputs", content.get("messages", content.get("texts")))
    return into, content.get("outputs", content.get("answers"))


def _content(content: Mapping[str, Any]) -> dict[str, Any]:
    into, out_of = _in_and_out(content)
    return {
        "inputs": None if into is None else as_json(into, _INDENT),
        "output": None if out_of is None else as_json(out_of, _INDENT),
    }

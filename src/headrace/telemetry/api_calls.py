"""Spans as the calls that prompt flow keeps with its records (promptflow-format: 9.3, 11).

Spans carry no inputs and outputs, so only the calls of nodes have them: a node's record knows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.domain.run import NodeResult
from headrace.domain.span import SpanRecord
from headrace.formats.error_info import render_error
from headrace.telemetry.attributes import (
    CHAT,
    EMBEDDINGS,
    FUNCTION_NAME,
    INPUT_TOKENS,
    NODE,
    OPERATION_NAME,
    OUTPUT_TOKENS,
    TEXT_COMPLETION,
)

_TYPES = {CHAT: "LLM", TEXT_COMPLETION: "LLM", EMBEDDINGS: "Embedding"}
_FUNCTION = "Function"

Call = dict[str, Any]
"""One call with those below it."""


def render_calls(spans: Sequence[SpanRecord], nodes: Sequence[NodeResult]) -> dict[str, list[Call]]:
    """The calls of each node by its name: the node's own, with what it called below it.

    Args:
        spans: Those of one line, or of the aggregation nodes of a run.
        nodes: What the nodes did.
    """
    below: dict[str | None, list[SpanRecord]] = {}
    for span in sorted(spans, key=lambda span: span.start_ns):
        below.setdefault(span.parent_id, []).append(span)
    results = {node.node: node for node in nodes}
    calls: dict[str, list[Call]] = {}
    for span in spans:
        node = results.get(span.attributes.get(NODE, ""))
        if node is not None:
            calls[node.node] = [_node_call(span, node, below)]
    return calls


def _node_call(span: SpanRecord, node: NodeResult, below: Mapping[str | None, Sequence[SpanRecord]]) -> Call:
    call = _call(span, below)
    error = render_error(node.problem) if node.problem is not None else None
    return call | {
        "node_name": node.node,
        "parent_id": "",
        "inputs": node.inputs,
        "output": node.output,
        "error": error,
    }


def _call(span: SpanRecord, below: Mapping[str | None, Sequence[SpanRecord]]) -> Call:
    attributes = span.attributes
    kind = _TYPES.get(attributes.get(OPERATION_NAME, ""), _FUNCTION)
    error = {"message": span.status_text or "", "type": span.status_text or ""}
    return {
        "name": span.name,
        "type": kind,
        "inputs": {},
        "output": None,
        "start_time": span.start_ns // 1000 / 1e6,
        "end_time": span.end_ns // 1000 / 1e6,
        "error": error if span.status == "error" else None,
        "children": [_call(child, below) for child in below.get(span.span_id, ())],
        "node_name": None,
        "parent_id": span.parent_id or "",
        "id": span.span_id,
        "function": attributes.get(FUNCTION_NAME, span.name),
        "system_metrics": {} if kind == _FUNCTION else _tokens(attributes),
    }


def _tokens(attributes: Mapping[str, Any]) -> dict[str, int]:
    prompt, completion = attributes.get(INPUT_TOKENS, 0), attributes.get(OUTPUT_TOKENS, 0)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

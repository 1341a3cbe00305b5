"""What the spans of a line take down of what goes in and comes out, where that is asked for; without secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from headrace.domain.span import SpanRecord
from headrace.engine.masking import mask_content, secret_inputs
from headrace.engine.plain import to_record
from headrace.engine.runtime import PreparedFlow
from headrace.engine.streams import is_stream
from headrace.telemetry.spans import ActiveSpan


def both_sinks(flow: PreparedFlow, spans: list[SpanRecord]) -> Callable[[SpanRecord], None] | None:
    """Keeps finished spans with their line and hands them to the flow's sink, content without secrets.

    Either may be left out; ``None`` stands for neither.
    """
    take, keeps = flow.span_sink, flow.keeps_nodes
    if take is None and not keeps:
        return None

    def sink(record: SpanRecord) -> None:
        if record.content is not None:
            record = replace(record, content=mask_content(record.content, flow.secrets()))
        if keeps:
            spans.append(record)
        if take is not None:
            take(record)

    return sink


def take_node(span: ActiveSpan, given: Mapping[str, Any], output: Any, message_format: str) -> None:
    """Take down what a node was given, as recorded, and what it gave; of a stream only what it was given.

    Where the trace takes nothing down, neither does this.
    """
    if not span.scope.has_content:
        return
    if output is None or is_stream(output):
        span.take_content(inputs=given)
    else:
        span.take_content(inputs=given, outputs=to_record(output, message_format))


def end_line(
    span: ActiveSpan,
    flow: PreparedFlow,
    inputs: Mapping[str, Any],
    recorded: Mapping[str, Any],
    outputs: Mapping[str, Any],
) -> None:
    """End the span of a line, which may take down what went in, as recorded, and came out; of secret inputs nothing."""
    if span.scope.has_content:
        words = secret_inputs(flow.plan.flow, inputs)
        secret = {name for name, declared in flow.plan.flow.inputs.items() if declared.type == "secret"}
        shown = {name: value for name, value in recorded.items() if name not in secret}
        span.take_content(inputs=mask_content(shown, words), outputs=dict(outputs))
    span.end()

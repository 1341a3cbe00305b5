"""Aggregation nodes: they run once, after all lines, over lists of what the succeeded lines kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.domain.reference import Reference
from headrace.domain.run import BYPASSED, COMPLETED, LineResult, NodeResult
from headrace.domain.span import SpanRecord
from headrace.engine.line import NodeRunner
from headrace.engine.masking import mask_metrics, mask_nodes, mask_problem
from headrace.engine.runtime import PreparedFlow, aggregated_references
from headrace.engine.span_content import both_sinks
from headrace.engine.steps import Values
from headrace.errors import HeadraceError, Problem
from headrace.planning.plan import Plan
from headrace.telemetry.attributes import flow_attributes
from headrace.telemetry.spans import begin_trace


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregationResult:
    """What the aggregation nodes did.

    Attributes:
        metrics: What they logged with ``log_metric``, as plain data; the last write of a name wins.
        problem: The first failure; metrics logged before it are kept.
    """

    nodes: tuple[NodeResult, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    problem: Problem | None = None
    spans: tuple[SpanRecord, ...] = ()


class _Lists(Values):
    """Resolves references of aggregation nodes: lists over lines, or another aggregation node's output."""

    __slots__ = ("_inside", "_lines")

    def __init__(self, lines: Sequence[Mapping[str, Any]], inside: frozenset[str]) -> None:
        super().__init__({})
        self._lines = lines
        self._inside = inside

    def resolve(self, reference: Reference) -> Any:
        if reference.kind == "node" and reference.name in self._inside:
            return super().resolve(reference)
        return [line[reference.text] for line in self._lines]


def recorded_values(plan: Plan, inputs: Mapping[str, Any], result: LineResult) -> dict[str, Any] | None:
    """What a recorded line keeps for aggregation nodes: what ``run_line`` kept, as far as it was recorded.

    Args:
        plan: Says what aggregation nodes read.
        inputs: The flow inputs of the line.
        result: The line, completed.

    Returns:
        Values by reference text; ``None`` when something that is read is not recorded.
    """
    values = Values(inputs)
    for node in result.nodes:
        if node.status == COMPLETED:
            values.outputs[node.node] = node.output
        elif node.status == BYPASSED:
            values.bypassed.add(node.node)
    references = aggregated_references(plan)
    recorded = values.outputs.keys() | values.bypassed
    if any(item.kind == "node" and item.name not in recorded for item in references):
        return None
    try:
        return {item.text: values.resolve_output(item) for item in references}
    except HeadraceError:
        return None


async def run_aggregation(flow: PreparedFlow, kept_lines: Sequence[Mapping[str, Any]]) -> AggregationResult:
    """Run all aggregation nodes of a flow.

    Args:
        flow: The prepared flow.
        kept_lines: For every succeeded line, in order of line number, the values its ``run_line`` kept.
    """
    if not flow.plan.aggregation:
        return AggregationResult()
    spans: list[SpanRecord] = []
    name = flow.plan.flow.name

    span = begin_trace(
        f"invoke_workflow {name} aggregation",
        both_sinks(flow, spans),
        scope=flow.scope,
        attributes=flow_attributes(name, None) | dict(flow.attributes),
    )
    metrics: dict[str, Any] = {}
    inside = frozenset(step.node.name for step in flow.plan.aggregation)
    runner = NodeRunner(
        flow, flow.aggregation, _Lists(kept_lines, inside), span, line_number=None, metrics=metrics
    )
    problem = None
    try:
        await runner.run()
    except HeadraceError as error:
        problem = error.problems[0]
        span.fail(problem.name, f"{problem.code} {problem.name}")
    span.end()
    secrets = flow.secrets()
    return AggregationResult(
        nodes=mask_nodes(runner.results, secrets),
        metrics=mask_metrics(metrics, secrets),
        problem=mask_problem(problem, secrets),
        spans=tuple(spans),
    )

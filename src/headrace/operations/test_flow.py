"""Run a flow, or one node of it, on one set of inputs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from headrace.domain.flow import DAG, Flow
from headrace.domain.run import COMPLETED, LineResult, NodeResult
from headrace.domain.variant import Arm, Variant
from headrace.engine.aggregate import AggregationResult, run_aggregation
from headrace.engine.line import OnPiece, run_line
from headrace.engine.outputs import bare_result
from headrace.engine.runtime import PreparedFlow
from headrace.errors import Problem, raise_if_errors
from headrace.formats.arms import parse_model
from headrace.operations.given_images import read_given_images
from headrace.operations.prepare_flow import FlowSession, LoadedFlow, loaded_flow, tool_specs
from headrace.operations.versions import chosen_flow
from headrace.operations.workspace import Workspace
from headrace.planning.chat import with_history
from headrace.planning.convert import make_inputs
from headrace.planning.select import parse_variant
from headrace.planning.single_node import make_single_node_plan
from headrace.telemetry.attributes import COLLECTION

MAX_THREADS = 16
"""Threads for ordinary Python tools of one line, as many as prompt flow has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRequest:
    """What ``headrace flow test`` was asked for.

    Attributes:
        flow: Flow folder or file.
        inputs: Flow inputs; with ``node``, the node's parameters, ``inputs.x`` or ``upstream.output``.
        variant: ``${node.variant}``.
        model: ``connection/model`` for every llm node.
        node: Run only this node.
        init: What the constructor of a flex flow's class is given.
        collection: What the spans of the test are filed under, as prompt flow calls it.
    """

    __test__ = False  # not a test class for pytest

    flow: Path
    inputs: Mapping[str, Any]
    variant: str | None = None
    model: str | None = None
    node: str | None = None
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    init: Mapping[str, Any] = field(default_factory=dict)
    collection: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """What came out.

    Attributes:
        line: The line, with its problem when it failed.
        outputs: What to print: the flow's outputs, or the node's output.
        metrics: What aggregation nodes logged over the one line.
    """

    __test__ = False

    flow: Flow
    line: LineResult
    outputs: Any
    metrics: Mapping[str, Any]
    aggregation: tuple[NodeResult, ...]
    warnings: tuple[Problem, ...]
    aggregation_problem: Problem | None = None


def make_arm(variant: str | None, model: str | None) -> Arm | None:
    """The arm that ``--variant`` and ``--model`` ask for; ``None`` when neither is given.

    Raises:
        UsageError: V302 or C507 when one of them cannot be read.
    """
    if variant is None and model is None:
        return None
    choice = None
    if variant is not None:
        node, name = parse_variant(variant)
        choice = Variant(name=name, choices={node: name})
    spec = parse_model(model) if model is not None else None
    names = [item.name for item in (choice, spec) if item is not None]
    return Arm(name="/".join(names), variant=choice, model=spec)


def run_test(workspace: Workspace, request: TestRequest, on_piece: OnPiece | None = None) -> TestResult:
    """Run one line through a flow; what goes wrong inside the flow comes back in the result.

    Args:
        workspace: Connections and settings.
        request: What to run.
        on_piece: Hears the pieces of outputs that stream.

    Raises:
        DefinitionError: The flow or the inputs are wrong; nothing was run.
        UsageError: The variant, model or node does not exist.
    """
    arm = make_arm(request.variant, request.model)
    with loaded_flow(
        workspace,
        chosen_flow(workspace, request.flow),
        arm=arm,
        environment_variables=request.environment_variables,
        init=request.init,
    ) as whole:
        if request.node is not None:
            inputs: Mapping[str, Any] = {}
            specs = tool_specs(whole.tools)
            plan, warnings = make_single_node_plan(whole.plan, request.node, specs, request.inputs)
            plan, unread = read_given_images(whole, plan)
            warnings = (*warnings, *unread)
            loaded = replace(whole, plan=plan)
        else:
            loaded = whole
            inputs, warnings = make_inputs(loaded.flow, _given_inputs(loaded.flow, request))
        raise_if_errors(warnings)
        line, aggregation = asyncio.run(_run(workspace, loaded, inputs, span_attributes(request), on_piece))
    return TestResult(
        flow=loaded.flow,
        line=line,
        outputs=_shown_outputs(loaded.flow, line, request.node),
        metrics=aggregation.metrics,
        aggregation=aggregation.nodes,
        warnings=(*loaded.warnings, *warnings),
        aggregation_problem=aggregation.problem,
    )


def _given_inputs(flow: Flow, request: TestRequest) -> Mapping[str, Any]:
    """What a flow is tried with: the inputs of the request, else its sample; a DAG flow also begins a chat."""
    if flow.kind == DAG:
        return with_history(flow, request.inputs)
    # A flow without declared inputs takes the sample by itself.
    return request.inputs or (flow.sample if flow.inputs else {})


def _shown_outputs(flow: Flow, line: LineResult, node: str | None) -> Any:
    """The outputs of a flow, or what a single node returned."""
    if node is not None:
        return line.outputs.get(node)
    return bare_result(flow, line)


async def _run(
    workspace: Workspace,
    loaded: LoadedFlow,
    inputs: Mapping[str, Any],
    attributes: Mapping[str, str],
    on_piece: OnPiece | None,
) -> tuple[LineResult, AggregationResult]:
    session = FlowSession(workspace, loaded, max_threads=MAX_THREADS, attributes=attributes)
    async with session as flow:
        return await run_once(flow, inputs, on_piece)


async def run_once(
    flow: PreparedFlow, inputs: Mapping[str, Any], on_piece: OnPiece | None
) -> tuple[LineResult, AggregationResult]:
    """Run one line and, when it completes, the aggregation nodes over it."""
    kept: dict[str, Any] = {}
    line = await run_line(flow, inputs, line_number=0, on_piece=on_piece, kept=kept)
    if line.status != COMPLETED or flow.plan.flow.kind != DAG:  # __aggregate__ belongs to runs over data
        return line, AggregationResult()
    return line, await run_aggregation(flow, [kept])


def span_attributes(request: TestRequest) -> dict[str, str]:
    """Attributes of the flow spans of a test."""
    return {COLLECTION: request.collection} if request.collection else {}

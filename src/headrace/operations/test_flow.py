"""Run a flow, or one node of it, on one set of inputs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from headrace.domain.flow import Flow, FlowOutput
from headrace.domain.reference import Reference
from headrace.domain.run import COMPLETED, LineResult, NodeResult
from headrace.domain.variant import Arm, Variant
from headrace.engine.aggregate import AggregationResult, run_aggregation
from headrace.engine.line import run_line
from headrace.errors import Problem, UsageError, nearest, raise_if_errors
from headrace.formats.arms import parse_model
from headrace.operations.prepare_flow import FlowSession, LoadedFlow, loaded_flow
from headrace.operations.workspace import Workspace
from headrace.planning.convert import make_inputs
from headrace.planning.plan import Binding, Plan, Step
from headrace.planning.select import parse_variant

_MAX_THREADS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRequest:
    """What ``headrace flow test`` was asked for.

    Attributes:
        flow: Flow folder or file.
        inputs: Flow inputs; with ``node``, the node's parameters, ``inputs.x`` or ``upstream.output``.
        variant: ``${node.variant}``.
        model: ``connection/model`` for every llm node.
        node: Run only this node.
    """

    __test__ = False  # not a test class for pytest

    flow: Path
    inputs: Mapping[str, Any]
    variant: str | None = None
    model: str | None = None
    node: str | None = None
    environment_variables: Mapping[str, str] = field(default_factory=dict)


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
    metrics: Mapping[str, float]
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


def run_test(
    workspace: Workspace, request: TestRequest, on_text: Callable[[str], None] | None = None
) -> TestResult:
    """Run one line through a flow; what goes wrong inside the flow comes back in the result.

    Args:
        workspace: Connections and settings.
        request: What to run.
        on_text: Hears the pieces of streamed model answers.

    Raises:
        DefinitionError: The flow or the inputs are wrong; nothing was run.
        UsageError: The variant, model or node does not exist.
    """
    arm = make_arm(request.variant, request.model)
    with loaded_flow(
        workspace, request.flow, arm=arm, environment_variables=request.environment_variables
    ) as whole:
        if request.node is not None:
            loaded, inputs, warnings = _single_node(whole, request.node, request.inputs)
        else:
            loaded = whole
            inputs, warnings = make_inputs(loaded.flow, request.inputs, None)
        raise_if_errors(warnings)
        line, aggregation = asyncio.run(_run(workspace, loaded, inputs, on_text))
    outputs: Any = line.outputs
    if request.node is not None:
        outputs = line.outputs.get(request.node)
    return TestResult(
        flow=loaded.flow,
        line=line,
        outputs=outputs,
        metrics=aggregation.metrics,
        aggregation=aggregation.nodes,
        warnings=(*loaded.warnings, *warnings),
        aggregation_problem=aggregation.problem,
    )


async def _run(
    workspace: Workspace,
    loaded: LoadedFlow,
    inputs: Mapping[str, Any],
    on_text: Callable[[str], None] | None,
) -> tuple[LineResult, AggregationResult]:
    session = FlowSession(workspace, loaded, max_threads=_MAX_THREADS, attributes={})
    async with session as flow:
        kept: dict[str, Any] = {}
        hear = None if on_text is None else (lambda _, piece: on_text(piece))
        line = await run_line(flow, inputs, line_number=0, on_text=hear, kept=kept)
        if line.status != COMPLETED:
            return line, AggregationResult()
        return line, await run_aggregation(flow, [kept])


def _single_node(
    loaded: LoadedFlow, name: str, given: Mapping[str, Any]
) -> tuple[LoadedFlow, Mapping[str, Any], tuple[Problem, ...]]:
    """A flow of one node whose references are replaced by given values."""
    steps = {step.node.name: step for step in (*loaded.plan.steps, *loaded.plan.aggregation)}
    step = steps.get(name)
    if step is None:
        near = nearest(name, list(steps))
        raise UsageError(
            Problem(
                code="C507",
                what=f"The flow {loaded.flow.name!r} has no node {name!r}.",
                fix=f"Did you mean {near!r}?" if near else f"Its nodes are: {', '.join(steps)}.",
            )
        )
    bindings, problems = _bind_given(step, loaded.flow, given)
    node = replace(step.node, activate=None, is_aggregation=False)
    alone = Step(
        node=node, bindings=bindings, waits_for=(), feeders=(), inputs_to_escape=step.inputs_to_escape
    )
    output = FlowOutput(
        name=name, type="object", value=Reference(text=f"${{{name}.output}}", kind="node", name=name)
    )
    flow = replace(loaded.flow, nodes=(node,), outputs={name: output})
    plan = Plan(flow=flow, steps=(alone,), aggregation=())
    return replace(loaded, plan=plan), {}, problems


def _bind_given(
    step: Step, flow: Flow, given: Mapping[str, Any]
) -> tuple[tuple[Binding, ...], tuple[Problem, ...]]:
    bindings = []
    problems = []
    defaults = {item.name: item.default for item in flow.inputs.values() if item.has_default}
    for binding in step.bindings:
        if binding.reference is None and binding.parameter not in given:
            bindings.append(binding)
            continue
        found, value = _given_value(binding, given, defaults)
        if found:
            bindings.append(replace(binding, reference=None, literal=value))
        elif not binding.has_default:
            text = binding.reference.text if binding.reference else binding.parameter
            problems.append(
                Problem(
                    code="T202",
                    what=f"Node {step.node.name!r} needs a value for {binding.parameter!r} ({text}).",
                    span=flow.source_map.span((*step.node.pointer, "inputs", binding.parameter)),
                    fix=f"Give it: --inputs {binding.parameter}=VALUE.",
                )
            )
    return tuple(bindings), tuple(problems)


def _given_value(binding: Binding, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> tuple[bool, Any]:
    reference = binding.reference
    keys = [binding.parameter]
    if reference is not None and reference.kind == "input":
        keys += [f"inputs.{reference.name}", reference.name]
    elif reference is not None:
        keys += [f"{reference.name}.output", reference.name]
    for key in keys:
        if key in given:
            return True, _parsed(given[key]) if key.endswith(".output") else given[key]
    if reference is not None and reference.kind == "input" and reference.name in defaults:
        return True, defaults[reference.name]
    return False, None


def _parsed(value: Any) -> Any:
    """An upstream output given as JSON text; text that is not JSON is taken as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value

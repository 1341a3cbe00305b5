"""One node of a flow alone, with given values in place of its references (promptflow-format: 9.3)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from headrace.domain.flow import NO_DEFAULT, Flow, FlowOutput
from headrace.domain.reference import PathPart, PropertyNotFoundError, Reference, follow_path
from headrace.domain.tool import ToolSpec
from headrace.errors import Problem, UsageError, nearest
from headrace.planning.convert import ConversionError, convert_input
from headrace.planning.plan import Binding, Plan, Step
from headrace.source import Span


def make_single_node_plan(
    plan: Plan, name: str, specs: Mapping[str, ToolSpec], given: Mapping[str, Any]
) -> tuple[Plan, tuple[Problem, ...]]:
    """A plan that runs one node, whatever its condition says, and has its output as the only flow output.

    A reference takes the value given for the parameter's name, for ``inputs.x`` or for ``upstream.output``, else the
    default of the flow input. Literals stay what the flow file says. A value for a flow input is converted to its
    type; a list or mapping as JSON text becomes one unless the tool wants text. An aggregation node sees lists of one.

    Args:
        plan: The whole flow's.
        name: The node.
        specs: Tool signature by node name.
        given: Values as the command line gives them.

    Returns:
        The plan, and the problems: T201, T202 and the warning T204.

    Raises:
        UsageError: C507 when the flow has no such node.
    """
    steps = {step.node.name: step for step in (*plan.steps, *plan.aggregation)}
    step = steps.get(name)
    if step is None:
        near = nearest(name, list(steps))
        raise UsageError(
            Problem(
                code="C507",
                what=f"The flow {plan.flow.name!r} has no node {name!r}.",
                fix=f"Did you mean {near!r}?" if near else f"Its nodes are: {', '.join(steps)}.",
            )
        )
    bindings, problems = _bind_given(step, plan.flow, specs[name], given)
    node = replace(step.node, activate=None, is_aggregation=False)
    alone = replace(step, node=node, bindings=bindings, waits_for=(), feeders=())
    reference = Reference(text=f"${{{name}.output}}", kind="node", name=name)
    outputs = {name: FlowOutput(name=name, type="object", value=reference)}
    flow = replace(plan.flow, nodes=(node,), outputs=outputs)
    return Plan(flow=flow, steps=(alone,), aggregation=()), problems


def _bind_given(
    step: Step, flow: Flow, spec: ToolSpec, given: Mapping[str, Any]
) -> tuple[tuple[Binding, ...], tuple[Problem, ...]]:
    bindings = []
    problems = []
    for binding in step.bindings:
        if binding.reference is None:
            bindings.append(binding)
            continue
        value, problem = _find_value(step, binding, binding.reference, flow, spec, given)
        if problem is not None:
            problems.append(problem)
        elif value is not NO_DEFAULT:
            bindings.append(replace(binding, reference=None, literal=value))
        elif not binding.has_default:
            problems.append(_not_given(step, flow, binding.parameter, binding.reference.text))
    problems += [_not_used(step, name) for name in given if _is_unknown(name, step, flow)]
    return tuple(bindings), tuple(problems)


def _find_value(
    step: Step,
    binding: Binding,
    reference: Reference,
    flow: Flow,
    spec: ToolSpec,
    given: Mapping[str, Any],
) -> tuple[Any, Problem | None]:
    """The value for a reference, :data:`NO_DEFAULT` when there is none."""
    qualified = f"inputs.{reference.name}" if reference.kind == "input" else f"{reference.name}.output"
    whole = reference.text[2:-1]
    names = (binding.parameter, whole, qualified, reference.name)
    key = next((name for name in names if name in given), None)
    declared = flow.inputs.get(reference.name) if reference.kind == "input" else None
    if key is None:
        value = declared.default if declared is not None else NO_DEFAULT
        return (value if value is NO_DEFAULT else _as_seen(step, reference, flow, value)), None
    try:
        if declared is not None:
            value = convert_input(given[key], declared.type)
        elif key in (binding.parameter, whole):
            value = _parse_if_structured(given[key], step, spec, binding.parameter)
            value = _inside(value, reference.path)
        else:
            value = _parse_if_structured(given[key], step, spec, binding.parameter, reference.path)
            value = follow_path(value, reference.path)
    except ConversionError as error:
        return NO_DEFAULT, _does_not_fit(step, key, f"{error}.", flow.source_map.span(("inputs", key)))
    except PropertyNotFoundError as error:
        place = flow.source_map.span((*step.node.pointer, "inputs", binding.parameter))
        return NO_DEFAULT, _does_not_fit(step, key, f"{reference.text} asks it for {error}.", place)
    return _as_seen(step, reference, flow, value), None


def _inside(value: Any, path: Sequence[PathPart]) -> Any:
    """What the path leads to where a mapping is given that has it, as prompt flow does; else the value itself."""
    try:
        return follow_path(value, path) if isinstance(value, Mapping) else value
    except PropertyNotFoundError:
        return value


def _as_seen(step: Step, reference: Reference, flow: Flow, value: Any) -> Any:
    """An aggregation node sees the values of all lines, alone those of one; another aggregation node's as it is."""
    source = flow.node(reference.name) if reference.kind == "node" else None
    is_list = step.node.is_aggregation and not (source is not None and source.is_aggregation)
    return [value] if is_list else value


def _parse_if_structured(
    value: Any, step: Step, spec: ToolSpec, parameter: str, path: Sequence[PathPart] = ()
) -> Any:
    declared = spec.parameter(parameter)
    is_text_wanted = step.node.is_aggregation or declared is None or "string" in declared.types
    if not isinstance(value, str) or (is_text_wanted and not path):
        return value
    try:
        parsed = json.loads(value)
    except ValueError:
        return value
    return parsed if isinstance(parsed, list | dict) else value


def _does_not_fit(step: Step, name: str, why: str, place: Span) -> Problem:
    return Problem(
        code="T201", what=f"The value for {name!r} of node {step.node.name!r} does not fit: {why}", span=place
    )


def _not_given(step: Step, flow: Flow, parameter: str, text: str) -> Problem:
    return Problem(
        code="T202",
        what=f"Node {step.node.name!r} needs a value for {parameter!r} ({text}).",
        span=flow.source_map.span((*step.node.pointer, "inputs", parameter)),
        fix=f"Give it: --inputs {parameter}=VALUE.",
    )


def _is_unknown(name: str, step: Step, flow: Flow) -> bool:
    """Whether a given value can mean nothing for the node; those for other nodes of the flow are no mistake."""
    fixed = {binding.parameter for binding in step.bindings if binding.reference is None}
    taken = {binding.parameter for binding in step.bindings} | set(flow.inputs)
    owner = name.partition(".")[0]
    return name in fixed or not (name in taken or owner == "inputs" or flow.node(owner) is not None)


def _not_used(step: Step, name: str) -> Problem:
    is_fixed = any(binding.parameter == name for binding in step.bindings)
    reason = "has a fixed value for it in the flow file" if is_fixed else "has no such input"
    return Problem(
        code="T204",
        what=f"The value for {name!r} is not used: node {step.node.name!r} {reason}.",
        fix="Change it in the flow file." if is_fixed else "Leave it out, or check its spelling.",
        severity="warning",
    )

"""Everything that can be wrong with a flow's definition and be seen without running it.

:func:`check_flow` returns all of it at once. What prompt flow would stop at is an error; what it would only
trip over while a line runs, or silently read differently from how it is written, is a warning. A variant that
is not the default may never run, so what is wrong with it only warns; it counts in full once it is chosen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from headrace.domain.flow import Flow, Node
from headrace.domain.reference import Reference
from headrace.domain.tool import ToolSpec
from headrace.errors import Problem, nearest
from headrace.planning.convert import ConversionError, convert_input, convert_literal, is_default_of_code
from headrace.planning.graph import find_cycles
from headrace.planning.model_name import check_model_name, check_prompt_model
from headrace.planning.plan import awaited_nodes, circle_problem, is_dropped, literal_problem
from headrace.source import Pointer

_APIS = ("chat", "completion")
_INPUT_WORDS = ("inputs", "flow")
_INNER_REFERENCE = re.compile(r"\$\{([^{}.]+)(?:\.[^{}]*)?\}")


def check_flow(flow: Flow, specs: Mapping[str, ToolSpec]) -> tuple[Problem, ...]:
    """All problems of a flow's definition, in the order of the file.

    Args:
        flow: As read; what could not be read was reported by the reader.
        specs: Tool signature by node name, for the nodes as they stand in ``flow.nodes``; a node whose tool
            could not be loaded is missing here and its parameters are not checked.
    """
    scope = _Scope(flow=flow, nodes={node.name: node for node in flow.nodes})
    problems = [problem for node in flow.nodes for problem in _check_node(scope, node, specs.get(node.name))]
    for variants in flow.node_variants.values():
        for variant_id, node in variants.variants.items():
            if variant_id != variants.default:
                problems.extend(replace(p, severity="warning") for p in _check_node(scope, node, None))
    problems.extend(check_prompt_model(flow, specs))
    problems.extend(_check_inputs(flow))
    problems.extend(_check_outputs(scope))
    circles = find_cycles(scope.nodes, {node.name: awaited_nodes(node) for node in flow.nodes})
    problems.extend(circle_problem(flow, circle) for circle in circles)
    return tuple(sorted(problems, key=_by_place))


def _by_place(problem: Problem) -> tuple[int, int]:
    return (problem.span.line, problem.span.column) if problem.span else (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scope:
    """What references may name."""

    flow: Flow
    nodes: Mapping[str, Node]

    def problem(
        self, code: str, pointer: Pointer, what: str, fix: str | None, *, severity: str = "error"
    ) -> Problem:
        """A problem at the value that ``pointer`` leads to."""
        span = self.flow.source_map.span(pointer)
        return Problem(code=code, what=what, span=span, pointer=pointer, fix=fix, severity=severity)


def _check_node(scope: _Scope, node: Node, spec: ToolSpec | None) -> Iterator[Problem]:
    owner = f"The node {node.name!r}"
    if node.name in _INPUT_WORDS:
        what = f"A reference cannot name the node {node.name!r}: ${{{node.name}.…}} means the flow's inputs."
        yield scope.problem("F020", (*node.pointer, "name"), what, "Rename the node.", severity="warning")
    for name, value in node.inputs.items():
        pointer = (*node.pointer, "inputs", name)
        if isinstance(value, Reference):
            yield from _check_reference(scope, value, pointer, f"{owner} sets {name!r}")
            yield from _check_stage(scope, node, value, pointer)
        else:
            yield from _check_inner_references(scope, value, pointer)
    if node.activate is not None:
        yield from _check_activate(scope, node, node.activate.when)
    if node.type == "llm":
        yield from _check_api(scope, node)
    if spec is not None:
        yield from _check_parameters(scope, node, spec)


def _check_reference(scope: _Scope, reference: Reference, pointer: Pointer, owner: str) -> Iterator[Problem]:
    """R101-R103 for one reference; ``owner`` begins the sentence."""
    if not reference.name:
        yield scope.problem(
            "R101",
            pointer,
            f"{owner} from a reference that names nothing.",
            "Write ${inputs.name} or ${node.output}.",
        )
    elif reference.kind == "input":
        if reference.name not in scope.flow.inputs:
            yield _unknown_input(scope, reference, pointer, owner)
    elif reference.name not in scope.nodes:
        if reference.name not in scope.flow.unread_nodes:  # what is wrong with those was reported
            yield _unknown_node(scope, reference, pointer, owner)
    elif reference.section != "output" or reference.text.endswith(".}"):
        yield scope.problem(
            "R101",
            pointer,
            f"{owner} from {reference.text}, but only .output of a node can be read.",
            f"Write ${{{reference.name}.output}}, followed by the property if one is meant.",
            severity="warning",
        )


def _unknown_input(scope: _Scope, reference: Reference, pointer: Pointer, owner: str) -> Problem:
    known = tuple(scope.flow.inputs)
    head = reference.name.partition(".")[0].strip()
    guess = nearest(reference.name, known)
    if head in known:
        fix = f"Inputs have no properties: pass ${{inputs.{head}}} and take the property in a Python node."
        fix = fix if "." in reference.name else f"Write ${{inputs.{head}}} without spaces."
    elif guess:
        fix = f'Did you mean "{guess}"?'
    else:
        fix = f"Declare it under inputs. Declared: {', '.join(known) or 'none'}."
    what = f"{owner} from the flow input {reference.name!r}, but the flow has no such input."
    return scope.problem("R103", pointer, what, fix)


def _unknown_node(scope: _Scope, reference: Reference, pointer: Pointer, owner: str) -> Problem:
    known = tuple(scope.nodes)
    guess = nearest(reference.name, known)
    if reference.name in scope.flow.inputs:
        fix = f"Write ${{inputs.{reference.name}}} for the flow input of this name."
    elif reference.name.strip() in known:
        fix = f'Write "{reference.name.strip()}" without spaces.'
    elif guess:
        place = scope.flow.source_map.span((*scope.nodes[guess].pointer, "name"))
        fix = f'Did you mean "{guess}" (line {place.line})?'
    else:
        fix = f"Nodes of this flow: {', '.join(known) or 'none'}."
    what = f"{owner} from the node {reference.name!r}, but the flow has no such node."
    return scope.problem("R102", pointer, what, fix)


def _check_stage(scope: _Scope, node: Node, reference: Reference, pointer: Pointer) -> Iterator[Problem]:
    """R105 for an ordinary node that would have to wait for all lines."""
    target = scope.nodes.get(reference.name) if reference.kind == "node" else None
    if target is not None and target.is_aggregation and not node.is_aggregation:
        yield scope.problem(
            "R105",
            pointer,
            f"The node {node.name!r} runs for every line, but refers to aggregation node {target.name!r}.",
            f"Set aggregation: true on {node.name}, or remove it from {target.name}.",
        )


def _check_activate(scope: _Scope, node: Node, when: Any) -> Iterator[Problem]:
    pointer = (*node.pointer, "activate", "when")
    if not isinstance(when, Reference):
        yield from _check_inner_references(scope, when, pointer)
        return
    yield from _check_reference(scope, when, pointer, f"The node {node.name!r} takes its condition")
    yield from _check_stage(scope, node, when, pointer)
    target = scope.nodes.get(when.name) if when.kind == "node" else None
    if target is not None and node.is_aggregation and not target.is_aggregation:
        what = (
            f"The aggregation node {node.name!r} has a condition on {target.name!r}, which differs per line."
        )
        fix = "Use another aggregation node or a flow input in the condition."
        yield scope.problem("R105", pointer, what, fix)


def _check_inner_references(scope: _Scope, value: Any, pointer: Pointer) -> Iterator[Problem]:
    """A warning for text that looks as if a reference inside it should be replaced; it never is."""
    for text, place in _texts(value, pointer):
        for found in _INNER_REFERENCE.finditer(text):
            if found[1] in _INPUT_WORDS or found[1] in scope.nodes:
                what = f"{found[0]} is not replaced here: it stands inside other text, a list or a mapping."
                fix = "Pass the reference as an input of its own; only a whole value can be a reference."
                yield scope.problem("R101", place, what, fix, severity="warning")
                break


def _texts(value: Any, pointer: Pointer) -> Iterator[tuple[str, Pointer]]:
    if isinstance(value, str):
        yield value, pointer
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*pointer, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*pointer, index))


def _check_api(scope: _Scope, node: Node) -> Iterator[Problem]:
    if node.api is None:
        what = f"The model node {node.name!r} has no key 'api'."
        yield scope.problem("F006", node.pointer, what, "Add api: chat.")
    elif node.api not in _APIS:
        guess = nearest(node.api, _APIS)
        fix = f'Did you mean "{guess}"?' if guess else f"Allowed: {', '.join(_APIS)}."
        what = f"The model node {node.name!r} asks for the api {node.api!r}, which does not exist."
        yield scope.problem("F007", (*node.pointer, "api"), what, fix)


def _check_parameters(scope: _Scope, node: Node, spec: ToolSpec) -> Iterator[Problem]:
    for name, value in node.inputs.items():
        pointer = (*node.pointer, "inputs", name)
        parameter = spec.parameter(name)
        if parameter is None:
            yield from _unknown_parameter(scope, node, spec, name)
        elif node.type != "prompt" and not isinstance(value, Reference) and not is_dropped(node, value):
            try:
                convert_literal(value, parameter.types)
            except ConversionError as error:
                yield literal_problem(scope.flow, node, name, error)
    yield from _reserved_names(scope, node, spec)
    set_names = {name for name, value in node.inputs.items() if not is_dropped(node, value)}
    yield from check_model_name(scope.flow, node, spec)
    model_key = spec.model.key if spec.model else None
    for parameter in spec.parameters:
        if parameter.is_required and parameter.name not in set_names and parameter.name != model_key:
            what = f"The node {node.name!r} does not set {parameter.name!r}, which its tool needs."
            pointer = (*node.pointer, "inputs", parameter.name)
            yield scope.problem("T205", pointer, what, f"Add {parameter.name} to the node's inputs.")


def _unknown_parameter(scope: _Scope, node: Node, spec: ToolSpec, name: str) -> Iterator[Problem]:
    pointer = (*node.pointer, "inputs", name)
    if spec.takes_any or node.type != "python":
        unset = [variable for variable in spec.template_variables if variable not in node.inputs]
        guess = None if name in spec.template_variables else nearest(name, unset)
        if guess:
            what = f"The template of {node.name!r} does not use {name!r}, and {guess!r} gets no value."
            yield scope.problem("T204", pointer, what, f'Did you mean "{guess}"?', severity="warning")
        return
    known = tuple(parameter.name for parameter in spec.parameters)
    guess = nearest(name, known)
    fix = f'Did you mean "{guess}"?' if guess else f"Parameters of the tool: {', '.join(known) or 'none'}."
    what = f"The node {node.name!r} sets {name!r}, but its tool has no such parameter."
    span = scope.flow.source_map.key_span(pointer)
    yield Problem(code="T204", what=what, span=span, pointer=pointer, fix=fix)


def _reserved_names(scope: _Scope, node: Node, spec: ToolSpec) -> Iterator[Problem]:
    for name in spec.template_variables:
        if name in spec.reserved:
            is_set = name in node.inputs
            pointer = (*node.pointer, "inputs", name) if is_set else (*node.pointer, "source", "path")
            what = (
                f"The template of node {node.name!r} uses the variable {name!r}, which is a model parameter."
            )
            yield scope.problem(
                "T208", pointer, what, f"Rename {name} in the template and the node's inputs."
            )


def _check_inputs(flow: Flow) -> Iterator[Problem]:
    """A warning for a default that does not fit its type: it only matters on lines that use it."""
    for declared in flow.inputs.values():
        if not declared.has_default or is_default_of_code(flow, declared):
            continue
        try:
            convert_input(declared.default, declared.type)
        except ConversionError as error:
            pointer = ("inputs", declared.name, "default")
            yield Problem(
                code="T201",
                what=f"The default of {declared.name!r} does not fit the type {declared.type}: {error}.",
                span=flow.source_map.span(pointer),
                pointer=pointer,
                fix="Change the default or the declared type.",
                severity="warning",
            )


def _check_outputs(scope: _Scope) -> Iterator[Problem]:
    for output in scope.flow.outputs.values():
        pointer = ("outputs", output.name, "reference")
        if not isinstance(output.value, Reference):
            yield from _check_inner_references(scope, output.value, pointer)
            continue
        yield from _check_reference(scope, output.value, pointer, f"The flow output {output.name!r} is taken")
        target = scope.nodes.get(output.value.name) if output.value.kind == "node" else None
        if target is not None and target.is_aggregation:
            yield scope.problem(
                "R105",
                pointer,
                f"The flow output {output.name!r} refers to an aggregation node; it is left out.",
                "Log a metric in the aggregation node instead, or remove the output.",
                severity="warning",
            )

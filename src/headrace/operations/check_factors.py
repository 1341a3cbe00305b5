"""What can be wrong with the factors of an experiment: whether the flows have what they vary, and arms that are one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headrace.domain.evaluation import Experiment
from headrace.domain.flow import FLEX, Flow, Node
from headrace.domain.override import EVERY_MODEL_NODE
from headrace.domain.tool import ToolSpec
from headrace.domain.variant import Arm, Factor, Level
from headrace.errors import (
    DefinitionError,
    HeadraceError,
    Problem,
    UsageError,
    at_place,
    nearest,
    raise_if_errors,
)
from headrace.formats.flow_file import load_flow
from headrace.operations.prepare_flow import loaded_flow, tool_specs
from headrace.operations.workspace import Workspace
from headrace.planning.override import overridden_nodes
from headrace.planning.select import no_model_node
from headrace.source import Pointer, Span

_NO_NODES = ("model", "flow")
_NO_TOOLS = (*_NO_NODES, "variant")
"""Kinds that a flow file alone can be held against."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """One of the flows that run, with the signatures of its tools; without them where it cannot be loaded."""

    flow: Flow
    specs: Mapping[str, ToolSpec]


def check_factors(workspace: Workspace, experiment: Experiment) -> None:
    """Refuse factors, variants and models that the flows do not have, each at its place in the experiment file.

    Raises:
        DefinitionError: V306 for a node, a parameter or an input that a flow does not have, V301 for a variant, V304
            for a model that no node asks, C501 for a connection; everything at once. F001 and F004 for what is no flow.
    """
    places = {factor.pointer for factor in experiment.factors}
    factors = [*experiment.factors, *(item for item in experiment.listed if item.pointer not in places)]
    problems: dict[Problem, None] = {}
    for path, place in _flow_places(experiment).items():
        known = _load(workspace, experiment, Path(path), place)
        for factor in factors:
            problems.update(dict.fromkeys(_check_factor(workspace, experiment, factor, known)))
        problems.update(dict.fromkeys(_check_overlaps(experiment, known.flow)))
    raise_if_errors(tuple(problems))


def _flow_places(experiment: Experiment) -> dict[str, Span | None]:
    """The flows of the arms, and where the experiment file names each."""
    found: dict[str, Span | None] = {}
    for arm in experiment.arms:
        level = experiment.flow_level(arm)
        pointer = ("flow",) if level is None else (*level.pointer, "path")
        found.setdefault(arm.flow_path or experiment.flow_path, experiment.place(*pointer))
    return found


def placed_at_levels(
    experiment: Experiment, arm: Arm, flow: Flow, problems: Sequence[Problem]
) -> tuple[Problem, ...]:
    """What is wrong with an arm, at the level or the model that says it where that is not the flow.

    Args:
        experiment: What the arm is of.
        arm: Could not be loaded.
        flow: Its flow as the file says it.
        problems: Why it could not.
    """
    if experiment.source_map is None:
        return tuple(problems)
    nodes = {
        node.pointer: node.name
        for node in (
            *flow.nodes,
            *(node for found in flow.node_variants.values() for node in found.variants.values()),
        )
    }
    levels = [
        level
        for factor in (*experiment.factors, *experiment.listed)
        for level in factor.levels
        if arm.factors.get(factor.name) == level.name
        or (level.model is not None and level.model == arm.model)
    ]
    return tuple(_placed_at_level(experiment, nodes, levels, problem) for problem in problems)


def _placed_at_level(
    experiment: Experiment, nodes: Mapping[Pointer, str], levels: Sequence[Level], problem: Problem
) -> Problem:
    *start, kind, field_name = problem.pointer if len(problem.pointer) > 1 else ("", "")
    node = nodes.get(tuple(start))
    if node is None or kind != "inputs":
        return problem
    pointers = [
        (*level.pointer, "parameters", field_name)
        for level in levels
        if level.model is not None and field_name in level.model.parameters
    ]
    pointers += [
        level.pointer
        for level in levels
        if not level.overrides.keys().isdisjoint((f"{node}.{field_name}", f"{EVERY_MODEL_NODE}.{field_name}"))
    ]
    if not pointers:
        return problem
    related = ((f"the node {node!r} is here", problem.span),) if problem.span is not None else ()
    return replace(problem, span=experiment.place(*pointers[-1]), pointer=pointers[-1], related=related)


def same_arms(experiment: Experiment, flows: Sequence[Flow]) -> Iterator[Problem]:
    """V307 for arms of a design that come to the same flow.

    Args:
        experiment: Its arms.
        flows: The flow of each arm with its choices made, in the same order.
    """
    first: list[tuple[Any, str]] = []
    for arm, flow in zip(experiment.arms, flows, strict=True):
        if not arm.factors:
            continue
        made = _made_of(flow), arm.column_mapping, arm.outputs
        twin = next((name for other, name in first if other == made), None)
        if twin is None:
            first.append((made, arm.name))
            continue
        what = f"The arms {twin!r} and {arm.name!r} come to the same flow: what tells them apart changes nothing."
        fix = "Take away the level that says what another one says, or what the flow says already."
        yield Problem(code="V307", what=what, span=experiment.place("factors"), fix=fix)
        return


def _made_of(flow: Flow) -> Any:
    nodes = tuple(replace(node, pointer=()) for node in flow.nodes)
    model = replace(flow.model, name="", price=None) if flow.model else None
    return flow.folder, flow.file, nodes, model, flow.prompt, flow.remote


def _load(workspace: Workspace, experiment: Experiment, path: Path, place: Span | None) -> _Known:
    try:
        flow = load_flow(path)
    except HeadraceError as error:
        raise (error if place is None else at_place(error, place)) from error.__cause__
    if all(factor.kind in _NO_TOOLS for factor in experiment.factors):
        return _Known(flow=flow, specs={})
    try:
        with loaded_flow(workspace, path, environment_variables=experiment.environment_variables) as loaded:
            return _Known(flow=flow, specs=tool_specs(loaded.tools))
    except (
        DefinitionError,
        UsageError,
    ):  # a variant that no arm runs may be broken; that of an arm is loaded later
        return _Known(flow=flow, specs={})


def _check_factor(
    workspace: Workspace, experiment: Experiment, factor: Factor, known: _Known
) -> Iterator[Problem]:
    for level in factor.levels:
        connection = level.model.connection if level.model else _connection(factor, level)
        if connection is not None and workspace.connections.find(connection) is None:
            span = experiment.place(*level.pointer)
            yield replace(workspace.connections.unknown(connection), span=span)
        if level.model is not None and not _asks_models(known.flow):
            place = experiment.place(*level.pointer)
            yield replace(no_model_node(known.flow, level.model), span=place, pointer=level.pointer)
        for node, variant in level.choices.items():
            yield from _check_choice(experiment, factor, level, known.flow, node, variant)
    if factor.kind not in _NO_TOOLS:
        yield from _check_setting(experiment, factor, known)


def _connection(factor: Factor, level: Level) -> str | None:
    return next(iter(level.overrides.values()), None) if factor.kind == "connection" else None


def _asks_models(flow: Flow) -> bool:
    variants = (node for found in flow.node_variants.values() for node in found.variants.values())
    return (
        flow.kind == FLEX
        or flow.prompt is not None
        or any(node.type == "llm" for node in (*flow.nodes, *variants))
    )


def _check_choice(
    experiment: Experiment, factor: Factor, level: Level, flow: Flow, node: str, variant: str
) -> Iterator[Problem]:
    offered = flow.node_variants.get(node)
    place = experiment.place(*level.pointer, "choices", node)
    if offered is None:
        nodes = list(flow.node_variants)
        what = f"The flow {flow.name!r} has no node {node!r} with variants."
        fix = _suggest(node, nodes, "Nodes with variants")
        if factor.node:  # the factor is called after it
            yield Problem(code="V306", what=what, span=_key_place(experiment, factor), fix=fix)
        else:
            yield Problem(code="V301", what=what, span=place, fix=fix)
    elif variant not in offered.variants and not _is_broken(flow, node, variant):
        what = f"The node {node!r} has no variant {variant!r}."
        fix = _suggest(variant, list(offered.variants), f"Variants of {node}")
        yield Problem(code="V301", what=what, span=place, fix=fix)


def _is_broken(flow: Flow, node: str, variant: str) -> bool:
    """Whether a variant stands in the flow file and cannot be used; what chooses it says so, at that place."""
    return ("node_variants", node, "variants", variant) in flow.source_map.values


def _check_setting(experiment: Experiment, factor: Factor, known: _Known) -> Iterator[Problem]:
    """A node that is not there, or is of another kind; a parameter or an input that it does not have."""
    flow = known.flow
    try:
        nodes = overridden_nodes(flow, factor.node)
    except UsageError as error:
        for problem in error.problems:
            yield replace(problem, code="V306", span=_key_place(experiment, factor))
        return
    if flow.prompt is not None:
        if factor.kind == "input":
            what = f"The prompty {flow.name!r} takes its inputs from the data, not from the experiment."
            fix = "Map the column that holds the values: column_mapping."
            yield Problem(code="V306", what=what, span=_key_place(experiment, factor), fix=fix)
        return
    for node in nodes:
        if flow.kind == FLEX or (factor.kind != "input" and node.type != "llm"):
            what = f"The node {node.name!r} asks no model, so it has no {factor.kind} to vary."
            fix = "Name an llm node, or vary an input of the node: input: NODE.INPUT."
            yield Problem(code="V306", what=what, span=_key_place(experiment, factor), fix=fix)
        elif factor.field_name:
            yield from _check_field(experiment, factor, node, known)


def _check_field(experiment: Experiment, factor: Factor, node: Node, known: _Known) -> Iterator[Problem]:
    spec = known.specs.get(node.name)
    if spec is None or (spec.takes_any and node.type != "llm"):
        return
    variants = known.flow.node_variants.get(node.name)
    said = [node, *(variants.variants.values() if variants else ())]
    names = dict.fromkeys(item.name for item in spec.parameters)
    names |= dict.fromkeys(spec.template_variables)
    names |= dict.fromkeys(name for item in said for name in item.inputs)
    if factor.field_name not in names:
        word = "input" if factor.kind == "input" else "parameter"
        what = f"The node {node.name!r} has no {word} {factor.field_name!r}."
        key = "input" if factor.kind == "input" else "parameter"
        place = experiment.place(*factor.pointer, key)
        yield Problem(
            code="V306", what=what, span=place, fix=_suggest(factor.field_name, list(names), "It has")
        )


def _check_overlaps(experiment: Experiment, flow: Flow) -> Iterator[Problem]:
    """V306 for a factor that sets in some node what another one sets there: one of them would change nothing."""
    seen: dict[tuple[str, str], Factor] = {}
    for factor in experiment.factors:
        if factor.kind in _NO_TOOLS:
            continue
        try:
            nodes = overridden_nodes(flow, factor.node)
        except UsageError:  # said already
            continue
        fields = [(node.name, factor.field_name or factor.kind) for node in nodes]
        shared = next((place for place in fields if place in seen), None)
        if shared is not None:
            other = seen[shared].name
            what = (
                f"The factors {other!r} and {factor.name!r} both set {shared[1]} of the node {shared[0]!r}."
            )
            fix = "Keep one of them, or let each name a node of its own."
            yield Problem(code="V306", what=what, span=_key_place(experiment, factor), fix=fix)
        seen |= dict.fromkeys(fields, factor)


def _suggest(name: str, known: Sequence[str], what: str) -> str:
    near = nearest(name, list(known))
    start = f'Did you mean "{near}"? ' if near else ""
    return f"{start}{what}: {', '.join(known) or 'none'}."


def _key_place(experiment: Experiment, factor: Factor) -> Span | None:
    """The word of a factor that says what it varies."""
    source_map = experiment.source_map
    if source_map is None:
        return None
    key = "node" if factor.kind == "parameter" and factor.node != EVERY_MODEL_NODE else factor.kind
    pointer = (*factor.pointer, key)
    return source_map.values.get(pointer) or source_map.key_span(factor.pointer)

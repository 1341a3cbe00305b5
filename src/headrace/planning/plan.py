"""The executable order of one flow under one arm. Pure data, made by :func:`make_plan`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace.domain.flow import Flow, Node
from headrace.domain.reference import Reference
from headrace.domain.tool import ToolSpec
from headrace.errors import DefinitionError, Problem
from headrace.planning.convert import ConversionError, convert_literal
from headrace.planning.graph import find_cycle, topological_order
from headrace.source import Pointer

_TEMPLATE_TYPES = frozenset(("prompt", "llm", "custom_llm"))
_UNKNOWN_TOOL = ToolSpec(name="", parameters=(), takes_any=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Where one tool parameter comes from: a reference, or a literal converted to the parameter's type.

    Attributes:
        has_default: The tool has a default, so a reference to a bypassed node leaves the argument out.
    """

    parameter: str
    reference: Reference | None = None
    literal: Any = None
    has_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One node, ready to run.

    Attributes:
        bindings: In the order of the file, without dropped literals (null and "" outside prompt nodes).
        waits_for: Nodes of the same stage (ordinary or aggregation) that must be completed or bypassed first:
            those that inputs or ``activate.when`` mention.
        feeders: The subset of ``waits_for`` that inputs mention; all of them bypassed bypasses this node.
        inputs_to_escape: Parameters of prompt and model nodes that are bound directly to flow inputs.
    """

    node: Node
    bindings: tuple[Binding, ...]
    waits_for: tuple[str, ...]
    feeders: tuple[str, ...]
    inputs_to_escape: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A flow without variants, ordered.

    Attributes:
        steps: Ordinary nodes in a topological order that keeps the file's order where it can.
        aggregation: Aggregation nodes likewise.
    """

    flow: Flow
    steps: tuple[Step, ...]
    aggregation: tuple[Step, ...]


def make_plan(flow: Flow, specs: Mapping[str, ToolSpec]) -> Plan:
    """Order the nodes, convert their literals and note what each of them waits for.

    Literals are converted to the first type of the tool's parameter; null and empty text are dropped, so that
    the tool's own default applies. Prompt nodes keep their literals as they are. References are not touched.

    Args:
        flow: A flow with its variants settled.
        specs: Tool signature by node name.

    Raises:
        DefinitionError: R104 when nodes wait for each other, T203 for literals that do not fit.
    """
    ordinary = tuple(node for node in flow.nodes if not node.is_aggregation)
    aggregation = tuple(node for node in flow.nodes if node.is_aggregation)
    problems: list[Problem] = []
    plan = Plan(
        flow=flow,
        steps=_make_steps(flow, ordinary, specs, problems),
        aggregation=_make_steps(flow, aggregation, specs, problems),
    )
    if problems:
        raise DefinitionError(*problems)
    return plan


def mentioned_nodes(node: Node) -> tuple[str, ...]:
    """Names of the nodes that the inputs of ``node`` refer to, each once, in the order of the file."""
    references = (value for value in node.inputs.values() if isinstance(value, Reference))
    return tuple(dict.fromkeys(item.name for item in references if item.kind == "node"))


def awaited_nodes(node: Node) -> tuple[str, ...]:
    """Like :func:`mentioned_nodes`, with the node that ``activate.when`` refers to."""
    when = node.activate.when if node.activate else None
    extra = (when.name,) if isinstance(when, Reference) and when.kind == "node" else ()
    return tuple(dict.fromkeys((*mentioned_nodes(node), *extra)))


def circle_problem(flow: Flow, circle: tuple[str, ...]) -> Problem:
    """R104 for nodes that wait for each other, with the place of every node on the circle."""
    places = [(name, _node_pointer(flow, name)) for name in circle]
    shown = " → ".join((*circle, circle[0]))
    return Problem(
        code="R104",
        what=f"Nodes wait for each other in a circle: {shown}.",
        span=flow.source_map.span(places[0][1]),
        pointer=places[0][1],
        fix="Remove one of the references, so that one of the nodes can run first.",
        related=tuple((f"node {name}", flow.source_map.span(pointer)) for name, pointer in places[1:]),
    )


def _node_pointer(flow: Flow, name: str) -> Pointer:
    node = flow.node(name)
    return (*node.pointer, "name") if node else ()


def _make_steps(
    flow: Flow, nodes: tuple[Node, ...], specs: Mapping[str, ToolSpec], problems: list[Problem]
) -> tuple[Step, ...]:
    by_name = {node.name: node for node in nodes}
    waits = {node.name: tuple(name for name in awaited_nodes(node) if name in by_name) for node in nodes}
    circle = find_cycle(by_name, waits)
    if circle:
        problems.append(circle_problem(flow, circle))
    steps = []
    for name in topological_order(by_name, waits):
        node = by_name[name]
        steps.append(
            Step(
                node=node,
                bindings=_make_bindings(flow, node, specs.get(name, _UNKNOWN_TOOL), problems),
                waits_for=waits[name],
                feeders=tuple(feeder for feeder in mentioned_nodes(node) if feeder in by_name),
                inputs_to_escape=_inputs_to_escape(node),
            )
        )
    return tuple(steps)


def _inputs_to_escape(node: Node) -> tuple[str, ...]:
    if node.type not in _TEMPLATE_TYPES:
        return ()
    pairs = node.inputs.items()
    return tuple(name for name, value in pairs if isinstance(value, Reference) and value.kind == "input")


def _make_bindings(flow: Flow, node: Node, spec: ToolSpec, problems: list[Problem]) -> tuple[Binding, ...]:
    bindings = []
    for name, value in node.inputs.items():
        parameter = spec.parameter(name)
        has_default = parameter is not None and not parameter.is_required
        if isinstance(value, Reference):
            bindings.append(Binding(parameter=name, reference=value, has_default=has_default))
            continue
        if is_dropped(node, value):
            continue
        try:
            is_converted = parameter is not None and node.type != "prompt"
            literal = convert_literal(value, parameter.types) if parameter and is_converted else value
            bindings.append(Binding(parameter=name, literal=literal, has_default=has_default))
        except ConversionError as error:
            problems.append(literal_problem(flow, node, name, error))
    return tuple(bindings)


def is_dropped(node: Node, value: Any) -> bool:
    """Whether a literal counts as not set: null and empty text, except in prompt nodes."""
    return node.type != "prompt" and (value is None or (isinstance(value, str) and not value))


def literal_problem(flow: Flow, node: Node, name: str, error: ConversionError) -> Problem:
    """T203 for a literal that does not fit the tool's parameter."""
    pointer = (*node.pointer, "inputs", name)
    return Problem(
        code="T203",
        what=f"The node {node.name!r} sets {name!r} to a value that its tool refuses: {error}.",
        span=flow.source_map.span(pointer),
        pointer=pointer,
        fix=f"Write a value of the type that the tool's parameter {name} declares.",
    )

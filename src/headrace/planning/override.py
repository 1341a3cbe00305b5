"""Overrides of single node settings: ``--connections node.field=value``, and those of an experiment's arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from headrace.domain.flow import PROMPTY, Flow, Node
from headrace.domain.override import EVERY_MODEL_NODE, NAMES, read_override
from headrace.errors import Problem, UsageError, nearest


def apply_overrides(flow: Flow, overrides: Mapping[str, str]) -> Flow:
    """Set node fields by ``node.field`` texts: ``connection`` of an llm node, else an input of that name.

    ``*`` in place of a node is every llm node. Of a prompty, whose only node is itself, a field is a parameter of the
    request, or the connection or model of its configuration.

    Raises:
        UsageError: C507 for a text that is not ``node.field``, an unknown node, or ``*`` where no node is an llm node.
    """
    for text, value in overrides.items():
        name, dot, field_name = text.partition(".")
        if not (dot and name and field_name):
            raise UsageError(
                Problem(
                    code="C507",
                    what=f"{text!r} does not name a node and one of its fields.",
                    fix="Write node.connection=NAME or node.deployment_name=NAME.",
                )
            )
        flow = _set(flow, overridden_nodes(flow, name), field_name, read_override(field_name, value))
    return flow


def overridden_nodes(flow: Flow, name: str) -> tuple[Node, ...]:
    """The nodes that the name of an override stands for.

    Raises:
        UsageError: C507 for an unknown node, or ``*`` where no node is an llm node.
    """
    if name == EVERY_MODEL_NODE:
        asking = flow.nodes if flow.kind == PROMPTY else _model_nodes(flow.nodes)
        if not asking:
            what = f"The flow {flow.name!r} has no llm node that {name!r} could stand for."
            raise UsageError(Problem(code="C507", what=what, fix="Name a node in its place."))
        return tuple(asking)
    node = flow.node(name)
    if node is None:
        nodes = [item.name for item in flow.nodes]
        near = nearest(name, nodes)
        raise UsageError(
            Problem(
                code="C507",
                what=f"The flow {flow.name!r} has no node {name!r}.",
                fix=f"Did you mean {near!r}?" if near else f"Its nodes are: {', '.join(nodes)}.",
            )
        )
    return (node,)


def _model_nodes(nodes: Sequence[Node]) -> list[Node]:
    return [node for node in nodes if node.type == "llm"]


def _set(flow: Flow, chosen: Sequence[Node], field_name: str, value: Any) -> Flow:
    if flow.prompt is not None:
        if field_name in NAMES:
            configuration = {**flow.prompt.configuration, field_name: value}
            return replace(flow, prompt=replace(flow.prompt, configuration=configuration))
        parameters = {**flow.prompt.parameters, field_name: value}
        return replace(flow, prompt=replace(flow.prompt, parameters=parameters))
    names = {node.name for node in chosen}
    nodes = (_override(node, field_name, value) if node.name in names else node for node in flow.nodes)
    return replace(flow, nodes=tuple(nodes))


def _override(node: Node, field_name: str, value: Any) -> Node:
    if _is_connection(node, field_name):
        return replace(node, connection=value)
    return replace(node, inputs={**node.inputs, field_name: value})


def _is_connection(node: Node, field_name: str) -> bool:
    return field_name == "connection" and node.type in ("llm", "endpoint")

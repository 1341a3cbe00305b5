"""Overrides of single node settings from the command line: ``--connections node.connection=name``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from headrace.domain.flow import Flow, Node
from headrace.errors import Problem, UsageError, nearest


def apply_overrides(flow: Flow, overrides: Mapping[str, str]) -> Flow:
    """Set node fields by ``node.field`` texts: ``connection`` of an llm node, else an input of that name.

    Raises:
        UsageError: C507 for a text that is not ``node.field`` or an unknown node.
    """
    nodes = {node.name: node for node in flow.nodes}
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
        if name not in nodes:
            near = nearest(name, list(nodes))
            raise UsageError(
                Problem(
                    code="C507",
                    what=f"The flow {flow.name!r} has no node {name!r}.",
                    fix=f"Did you mean {near!r}?" if near else f"Its nodes are: {', '.join(nodes)}.",
                )
            )
        nodes[name] = _override(nodes[name], field_name, value)
    return replace(flow, nodes=tuple(nodes[node.name] for node in flow.nodes))


def _override(node: Node, field_name: str, value: str) -> Node:
    if field_name == "connection" and node.type == "llm":
        return replace(node, connection=value)
    return replace(node, inputs={**node.inputs, field_name: value})

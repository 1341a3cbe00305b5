"""What a flex flow's file leaves to its code: the flow as it is once its entry is loaded (promptflow-format: 6.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from headrace.domain.flow import AGGREGATE, FLEX, Flow, FlowInput, FlowOutput, Node
from headrace.domain.reference import Reference
from headrace.domain.tool import ToolSpec


def complete_flow(flow: Flow, specs: Mapping[str, ToolSpec]) -> Flow:
    """The flow with the inputs and outputs that its entry has, and with a node for its ``__aggregate__``.

    Args:
        flow: As read; any other than a flex flow is returned as it is.
        specs: Signatures of its tools by node name, that of ``__aggregate__`` among them where there is one.
    """
    node = flow.nodes[0] if flow.kind == FLEX and flow.nodes else None
    spec = specs.get(node.name) if node else None
    if node is None or spec is None:
        return flow
    inputs = {
        item.name: replace(
            flow.inputs.get(item.name) or FlowInput(name=item.name, type=item.types[0]),
            type=item.types[0],
            default=item.default,
            prefers_column=item.is_default_declared,
            is_type_guessed=item.is_type_guessed,
            shown_type=item.shown_type,
        )
        for item in spec.parameters
    }
    references = {name: Reference(text=f"${{inputs.{name}}}", kind="input", name=name) for name in inputs}
    nodes = [replace(node, inputs=references)]
    if AGGREGATE in specs:
        nodes.append(_aggregation_node(node, specs[AGGREGATE]))
    named = {name: FlowOutput(name=name, type=kind, value=None) for name, kind in spec.outputs.items()}
    return replace(flow, inputs=inputs, outputs=flow.outputs or named, nodes=tuple(nodes))


def _aggregation_node(node: Node, spec: ToolSpec) -> Node:
    output = Reference(text=f"${{{node.name}.output}}", kind="node", name=node.name)
    return replace(
        node, name=AGGREGATE, inputs={item.name: output for item in spec.parameters}, is_aggregation=True
    )

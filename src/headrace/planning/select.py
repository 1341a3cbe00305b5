"""Choosing an arm: a flow with its variants settled and its model nodes pointed at a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from headrace.domain.flow import FLEX, Flow, ModelPrompt, Node
from headrace.domain.variant import Arm, ModelSpec, Variant
from headrace.errors import Problem, UsageError, nearest
from headrace.formats.arms import parse_variant
from headrace.source import Pointer

__all__ = ["MODEL_PARAMETERS", "apply_arm", "parse_variant"]

MODEL_PARAMETERS = ("deployment_name", "model")
"""Inputs of an llm node that name its model."""


def apply_arm(flow: Flow, arm: Arm, connection_type: Callable[[str], str | None]) -> Flow:
    """The flow as one arm runs it.

    Nodes that the arm's variant names become that variant; all others keep their default. With a model, a prompty asks
    that one, the model configurations of a flex flow's constructor name it, and every llm node gets its connection,
    its name (as ``deployment_name`` on Azure, else as ``model``) and its parameters. Embedding nodes are left alone:
    another embedding model needs another index.

    Args:
        flow: As read.
        arm: What to choose.
        connection_type: Type word of a connection by its name, ``None`` when there is no such connection.

    Returns:
        A flow without ``node_variants``.

    Raises:
        UsageError: V301 for every choice that the flow does not offer, V304 for a model without an llm node.
    """
    nodes = {node.name: node for node in flow.nodes}
    if arm.variant is not None:
        nodes.update(_chosen(flow, nodes, arm.variant))
    if arm.model is not None:
        if flow.kind == FLEX:
            return replace(flow, model=arm.model)
        if flow.prompt is not None:
            return replace(flow, prompt=_prompt_pointed_at(flow.prompt, arm.model))
        field_name = _model_field(connection_type(arm.model.connection))
        model_nodes = [node for node in nodes.values() if node.type == "llm"]
        if not model_nodes:
            raise UsageError(no_model_node(flow, arm.model))
        nodes.update((node.name, _pointed_at(node, arm.model, field_name)) for node in model_nodes)
    return replace(flow, nodes=tuple(nodes.values()), node_variants={})


def _chosen(flow: Flow, nodes: Mapping[str, Node], variant: Variant) -> dict[str, Node]:
    chosen: dict[str, Node] = {}
    problems: list[Problem] = []
    for name, variant_id in variant.choices.items():
        offered = flow.node_variants.get(name)
        if offered is not None and variant_id in offered.variants:
            chosen[name] = offered.variants[variant_id]
        elif name not in nodes and offered is None:
            problems.append(_unknown_node(flow, nodes, name))
        else:
            problems.append(_unknown_variant(flow, nodes.get(name), name, variant_id))
    if problems:
        raise UsageError(*problems)
    return chosen


def _unknown_node(flow: Flow, nodes: Mapping[str, Node], name: str) -> Problem:
    with_variants = tuple(flow.node_variants)
    guess = nearest(name, with_variants) or nearest(name, tuple(nodes))
    start = f'Did you mean "{guess}"? ' if guess else ""
    return Problem(
        code="V301",
        what=f"The flow has no node {name!r} to choose a variant of.",
        span=flow.source_map.key_span(("node_variants",)),
        pointer=("node_variants",),
        fix=f"{start}Nodes with variants: {', '.join(with_variants) or 'none'}.",
    )


def _unknown_variant(flow: Flow, node: Node | None, name: str, variant_id: str) -> Problem:
    offered = flow.node_variants.get(name)
    known = tuple(offered.variants) if offered else ()
    guess = nearest(variant_id, known)
    start = f'Did you mean "{guess}"? ' if guess else ""
    pointer: Pointer = ("node_variants", name, "variants")
    fix = f"{start}Variants of {name}: {', '.join(known) or 'none'}."
    if (*pointer, variant_id) in flow.source_map.values:
        pointer = (*pointer, variant_id)
        fix = "Correct the variant; `headrace flow validate` says what is wrong with it."
        what = f"The variant {variant_id!r} of node {name!r} cannot be used as it is written."
    elif offered is None:
        pointer = (*node.pointer, "name") if node else pointer
        what = f"The node {name!r} offers no variants."
    else:
        what = f"The node {name!r} has no variant {variant_id!r}."
    return Problem(code="V301", what=what, span=flow.source_map.key_span(pointer), pointer=pointer, fix=fix)


def _model_field(connection_type: str | None) -> str:
    return "deployment_name" if connection_type == "azure_open_ai" else "model"


def _pointed_at(node: Node, model: ModelSpec, field_name: str) -> Node:
    inputs: dict[str, Any] = {
        name: value for name, value in node.inputs.items() if name not in MODEL_PARAMETERS
    }
    inputs = {field_name: model.model, **inputs, **model.parameters}
    # The provider follows from the connection; a module of another one would contradict it.
    return replace(node, connection=model.connection, provider=None, module=None, inputs=inputs)


def _prompt_pointed_at(prompt: ModelPrompt, model: ModelSpec) -> ModelPrompt:
    configuration = {"connection": model.connection, "model": model.model}
    return replace(prompt, configuration=configuration, parameters={**prompt.parameters, **model.parameters})


def no_model_node(flow: Flow, model: ModelSpec) -> Problem:
    """V304 for a model that no node of a flow would ask."""
    return Problem(
        code="V304",
        what=f"The model {model.name!r} was chosen, but the flow {flow.name!r} has no llm node.",
        span=flow.source_map.key_span(("nodes",)),
        pointer=("nodes",),
        fix="Choose a variant instead, or make the node that calls the model an llm node.",
    )

"""Images among the values that are given to one node in place of its references."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from headrace.domain.multimedia import ImageError
from headrace.errors import Problem
from headrace.formats.multimedia import image_problem
from headrace.operations.prepare_flow import LoadedFlow
from headrace.planning.plan import Binding, Plan


def read_given_images(whole: LoadedFlow, plan: Plan) -> tuple[Plan, tuple[Problem, ...]]:
    """The plan of one node with its given images read as in its flow: by the type of a flow input, else by their form.

    Args:
        whole: The whole flow.
        plan: Of :func:`headrace.planning.single_node.make_single_node_plan`.

    Returns:
        The plan, and T210 or C509 for every value that is no image.
    """
    (step,) = plan.steps
    steps = (*whole.plan.steps, *whole.plan.aggregation)
    (before,) = (item for item in steps if item.node.name == step.node.name)
    bindings: list[Binding] = []
    problems: list[Problem] = []
    references = {binding.parameter: binding.reference for binding in before.bindings}
    for binding in step.bindings:
        reference = references[binding.parameter]
        declared = None
        if reference is not None and reference.kind == "input":
            declared = whole.flow.inputs.get(reference.name)
        pointer = (*step.node.pointer, "inputs", binding.parameter)
        try:
            literal = binding.literal
            if reference is not None:
                type_name = declared.type if declared is not None else "object"
                literal = _read(whole, literal, type_name, is_list=before.node.is_aggregation)
            bindings.append(replace(binding, literal=literal))
        except ImageError as error:
            owner = f"The value for {binding.parameter!r} of the node {step.node.name!r}"
            place = whole.flow.source_map.span(pointer)
            problems.append(image_problem(error, owner, place, pointer))
    return replace(plan, steps=(replace(step, bindings=tuple(bindings)),)), tuple(problems)


def _read(whole: LoadedFlow, value: Any, type_name: str, *, is_list: bool) -> Any:
    """One value; an aggregation node has a list with the value of its only line."""
    if is_list and isinstance(value, list):
        return [whole.images.read(item, type_name) for item in value]
    return whole.images.read(value, type_name)

"""A loaded function bound to its node: connections injected, its class built, what it cannot take refused."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from headrace.domain.flow import Flow, Node
from headrace.domain.reference import Reference
from headrace.errors import DefinitionError, Problem, raise_if_errors
from headrace.planning.convert import ConversionError, convert_literal
from headrace.tools.base import ConnectionLookup, ReadCode, Tool
from headrace.tools.connections import inject_connections
from headrace.tools.failure import failure_lines, failure_span
from headrace.tools.function import FunctionTool
from headrace.tools.signature import Signature
from headrace.tools.user_code import run_user_code

_VARIABLE = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def bind_function(
    function: Callable[..., Any],
    provider: type[Any] | None,
    signature: Signature,
    *,
    node: Node,
    flow: Flow,
    folder: Path,
    connections: ConnectionLookup,
    read_code: ReadCode,
    fixed: Mapping[str, Any] | None = None,
) -> Tool:
    """Inject connections, build the tool's class if it has one, and make the tool.

    Args:
        function: The function, or the method as it stands in the class.
        provider: The class.
        signature: What both take.
        node: The node.
        flow: Its flow.
        folder: Where the project's modules are imported from.
        connections: Finds connections.
        read_code: Tells what the function is made of.
        fixed: Further arguments that replace the node's.

    Raises:
        DefinitionError: C501 to C504, T203, T205, T206.
    """
    objects, problems = inject_connections(signature.connections, flow, node, connections)
    raise_if_errors(problems)
    arguments = {**objects, **(fixed or {})}
    consumed = frozenset[str]()
    if provider is not None:
        init = provider.get_initialize_inputs()
        values = _init_values(init, signature, objects, node, flow)
        instance = run_user_code(
            lambda: provider(**values),
            lambda error: _constructor_problem(error, provider, node, flow, folder),
        )
        function = getattr(instance, function.__name__)
        consumed = frozenset(init)
        arguments = {name: value for name, value in arguments.items() if name not in consumed}
    return FunctionTool(
        signature.spec,
        function,
        folder=folder,
        fixed=arguments,
        consumed=consumed,
        connections=tuple(objects[name] for name in sorted(objects)),
        read_code=read_code,
    )


def _init_values(
    init: Mapping[str, inspect.Parameter],
    signature: Signature,
    objects: Mapping[str, Any],
    node: Node,
    flow: Flow,
) -> dict[str, Any]:
    """Arguments of a tool class: literals of the node, because the object is made before any line runs."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, parameter in init.items():
        given = node.inputs.get(name)
        if name in objects:
            values[name] = objects[name]
        elif given not in (None, ""):
            try:
                values[name] = _init_value(name, given, signature, node, flow)
            except DefinitionError as error:
                problems.extend(error.problems)
        elif parameter.default is inspect.Parameter.empty and parameter.kind not in _VARIABLE:
            problems.append(
                Problem(
                    code="T205",
                    what=f"The node {node.name!r} does not set {name!r}, which its tool's constructor needs.",
                    span=flow.source_map.span((*node.pointer, "inputs", name)),
                    pointer=node.pointer,
                    fix=f"Add {name} to the inputs of the node.",
                )
            )
    raise_if_errors(problems)
    return values


def _init_value(name: str, given: Any, signature: Signature, node: Node, flow: Flow) -> Any:
    pointer = (*node.pointer, "inputs", name)
    place = flow.source_map.span(pointer)
    if isinstance(given, Reference):
        what = f"{name!r} goes to the constructor of the tool's class, which cannot wait for {given.text}."
        fix = "Give a fixed value, or make it a parameter of the tool's method."
        raise DefinitionError(Problem(code="T203", what=what, span=place, pointer=pointer, fix=fix))
    declared = signature.spec.parameter(name)
    types = declared.types if declared else ("object",)
    if {"image", "assistant_definition"}.intersection(types[:1]):
        what = f"{name!r} goes to the constructor of the tool's class, which takes no {types[0]}."
        fix = "Make it a parameter of the tool's method, or give the path as text."
        raise DefinitionError(Problem(code="F010", what=what, span=place, pointer=pointer, fix=fix))
    try:
        return convert_literal(given, types)
    except ConversionError as error:
        what = f"The input {name!r} of the node {node.name!r} does not fit: {error}."
        fix = "Correct the value, or change the annotation of the parameter."
        raise DefinitionError(
            Problem(code="T203", what=what, span=place, pointer=pointer, fix=fix)
        ) from error


def _constructor_problem(
    error: BaseException, provider: type[Any], node: Node, flow: Flow, folder: Path
) -> Problem:
    reason = f"{type(error).__name__}: {error}"
    what = f"The class {provider.__name__} of the node {node.name!r} cannot be built: {reason}"
    return Problem(
        code="T206",
        what=what.splitlines()[0],
        span=failure_span(error, folder, flow.file) or flow.source_map.span(node.pointer),
        pointer=node.pointer,
        fix="Correct the constructor, or what the node gives it.",
        detail=failure_lines(error, folder, flow.file),
    )

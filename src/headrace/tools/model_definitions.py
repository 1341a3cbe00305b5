"""What can be seen of a model node before it asks the model: its literals and its connection.

A node that is wrong here fails whenever it runs, but a flow may never come to it. So this is looked at when a flow is
checked, and not when it is run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from headrace.domain.flow import Flow, Node
from headrace.domain.reference import Reference
from headrace.errors import DefinitionError, NodeError, Problem, at_place
from headrace.providers.authorization import check_access
from headrace.source import Pointer
from headrace.tools.base import ConnectionLookup
from headrace.tools.model_parameters import AZURE, BASELINE, FAMILIES
from headrace.tools.model_request import check_function_call, check_functions, check_tool_choice, check_tools


def check_model_node(
    node: Node, flow: Flow, connections: ConnectionLookup, *, is_loaded: bool
) -> tuple[Problem, ...]:
    """Everything that keeps a model node from ever succeeding, beside what loading it and planning report.

    Args:
        node: A node that names its connection with the key or with the input ``connection``.
        flow: For places.
        connections: Finds connections and their secrets.
        is_loaded: Whether its tool could be loaded, so that planning has looked at its literals.

    Returns:
        C502 and C503 for the connection, T203 for parameters. What only the service would refuse is a warning.
    """
    pointer = (*node.pointer, "connection") if node.connection else (*node.pointer, "inputs", "connection")
    name = node.connection or node.inputs.get("connection")
    family = None
    problems: list[Problem] = []
    try:
        connection = connections.find(name) if isinstance(name, str) and name else None
        family = FAMILIES.get(connection.type) if connection else None
        if connection is not None and family and connection.type != BASELINE:
            check_access(connection, connections.secret)
    except DefinitionError as error:
        if is_loaded:
            problems.extend(at_place(error, flow.source_map.span(pointer), pointer).problems)
    # Prompt flow looks at definitions before it sends them to Azure; to others it sends them as they are.
    severity = "error" if family == AZURE else "warning"
    problems.extend(_check_parameters(node, flow, severity, is_loaded=is_loaded))
    return tuple(problems)


def _check_parameters(node: Node, flow: Flow, severity: str, *, is_loaded: bool) -> Iterator[Problem]:
    for name, check in _CHECKS.items():
        value = node.inputs.get(name)
        if isinstance(value, Reference) or value in (None, "", {}, []):
            continue  # empty counts as not set
        pointer = (*node.pointer, "inputs", name)
        try:
            check(_parsed(value))
        except NodeError as error:
            yield _problem(node, flow, pointer, error.problems[0].what, severity)
        except json.JSONDecodeError as error:
            if name in _LISTS and is_loaded:
                continue  # planning says so of every list
            what = (
                f"The model parameter {name!r} is not valid JSON (line {error.lineno}, column {error.colno})."
            )
            yield _problem(node, flow, pointer, what, "error")
        except _WrongFormError as error:
            what = f"The model parameter {name!r} has the wrong form: {error}."
            yield _problem(node, flow, pointer, what, "error")


def _problem(node: Node, flow: Flow, pointer: Pointer, what: str, severity: str) -> Problem:
    return Problem(
        code="T203",
        what=f"{what[:-1]}; the node {node.name!r} fails whenever it runs.",
        span=flow.source_map.span(pointer),
        pointer=pointer,
        fix=f"Correct {pointer[-1]}.",
        severity=severity,
    )


class _WrongFormError(ValueError):
    """A parameter that no service takes; the message says what it should be."""


def _parsed(value: Any) -> Any:
    """A structure that is written as JSON text; a single word is left as it is."""
    if not isinstance(value, str) or value.isidentifier():
        return value
    return json.loads(value)


def _check_list(check: Callable[[Any], object]) -> Callable[[Any], object]:
    def checked(value: Any) -> object:
        return check(value) if isinstance(value, list) else None  # as above

    return checked


def _check_response_format(value: Any) -> None:
    if not isinstance(value, Mapping) or not isinstance(value.get("type"), str):
        message = "it must be a mapping with type, such as {type: json_object}"
        raise _WrongFormError(message)
    schema = value.get("json_schema")
    if value["type"] == "json_schema" and not (isinstance(schema, Mapping) and "name" in schema):
        message = "type json_schema needs json_schema with name and schema"
        raise _WrongFormError(message)


def _check_mapping(value: Any) -> None:
    if not isinstance(value, Mapping):
        message = "it must be a mapping"
        raise _WrongFormError(message)


_LISTS = ("tools", "functions")
_CHECKS: Mapping[str, Callable[[Any], object]] = {
    "tools": _check_list(check_tools),
    "functions": _check_list(check_functions),
    "tool_choice": check_tool_choice,
    "function_call": check_function_call,
    "response_format": _check_response_format,
    "logit_bias": _check_mapping,
}

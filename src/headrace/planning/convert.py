"""Values that come from outside, made to fit: flow inputs by their declared type, literals by the tool's.

The rules are prompt flow's, leniencies included: an ``int`` input takes ``2.7`` as 2 and ``"3"`` as 3, a
``string`` input takes anything by its text, an ``object`` input takes text that is no JSON as text. Values
that arrive through references are never converted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from headrace.domain.flow import FLEX, NO_DEFAULT, PROMPTY, Flow, FlowInput
from headrace.domain.values import own_copy
from headrace.errors import Problem, nearest
from headrace.source import Span

_ARTICLES = {"int": "a whole number", "double": "a number", "bool": "true or false", "list": "a list"}


class ConversionError(ValueError):
    """A value does not fit a type; the message names what was wanted and what kind of value came."""


def convert_input(value: Any, type_name: str) -> Any:
    """Convert ``value`` to a type of the flow format; types that say nothing about form leave it as it is.

    Args:
        value: Plain data.
        type_name: One of :data:`headrace.domain.values.INPUT_TYPES`, or a connection class name.

    Raises:
        ConversionError: The value does not fit.
    """
    if type_name == "string":
        return str(value)
    if type_name == "object":
        return _parse_if_json(value)
    if type_name not in _ARTICLES:
        return value
    try:
        return _CONVERSIONS[type_name](value)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        message = f"{_ARTICLES[type_name]} is needed, but {kind_of(value)} was given"
        if isinstance(error, json.JSONDecodeError) and value:
            message += f" that is not valid JSON (line {error.lineno}, column {error.colno})"
        raise ConversionError(message) from error


def kind_of(value: Any) -> str:
    """A few words on what a value is, which tell nothing of what it holds."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "text" if value else "empty text"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, list) else f"a {type(value).__name__}"


def convert_literal(value: Any, types: Sequence[str]) -> Any:
    """Convert a literal of a node to the first of the types that the tool's parameter declares.

    Raises:
        ConversionError: The literal does not fit.
    """
    return convert_input(value, types[0]) if types else value


def make_inputs(
    flow: Flow, given: Mapping[str, Any], place: Span | None = None, *, as_given: Collection[str] = ()
) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """The inputs of one line: given values converted, defaults filled in, the rest reported.

    Args:
        flow: Declares the inputs.
        given: Values by input name; names that the flow does not declare are dropped with a warning.
        place: Where the values come from, e.g. a line of a data file.
        as_given: Names of given values that are not converted.

    Returns:
        Values by input name in the order of the flow file, and the problems: T201, T202 and the warning T204.
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, declared in flow.inputs.items():
        is_given = name in given
        value = given[name] if is_given else own_copy(declared.default)  # which all lines and requests share
        if value is NO_DEFAULT:
            problems.append(_missing(flow, declared, place))
            continue
        if name in as_given or (not is_given and is_default_of_code(flow, declared)):
            values[name] = value
            continue
        try:
            values[name] = convert_input(value, declared.type)
        except ConversionError as error:
            problems.append(_wrong_type(flow, declared, error, place if name in given else None))
    problems.extend(_unknown(flow, name, place) for name in given if name not in flow.inputs)
    return values, tuple(problems)


def is_default_of_code(flow: Flow, declared: FlowInput) -> bool:
    """Whether a default stands in the code of a flex flow alone, whose own affair it is what it fits."""
    return flow.kind == FLEX and ("inputs", declared.name, "default") not in flow.source_map.keys


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError


def _to_list(value: Any) -> list[Any]:
    parsed = json.loads(value) if isinstance(value, str) else value
    if not isinstance(parsed, list):
        raise TypeError
    return parsed


def _parse_if_json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


_CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {
    "int": int,
    "double": float,
    "bool": _to_bool,
    "list": _to_list,
}


def _declared_here(flow: Flow, declared: FlowInput, place: Span | None) -> tuple[tuple[str, Span], ...]:
    here = flow.source_map.key_span(("inputs", declared.name))
    return (("declared here", here),) if place else ()


def _missing(flow: Flow, declared: FlowInput, place: Span | None) -> Problem:
    return Problem(
        code="T202",
        what=f"The flow input {declared.name!r} has no value and no default.",
        span=place or flow.source_map.key_span(("inputs", declared.name)),
        pointer=("inputs", declared.name),
        fix=f"Give {declared.name} a value, or declare a default for it in the flow.",
        related=_declared_here(flow, declared, place),
    )


def _wrong_type(flow: Flow, declared: FlowInput, error: ConversionError, place: Span | None) -> Problem:
    return Problem(
        code="T201",
        what=f"The flow input {declared.name!r} is of type {declared.type}: {error}.",
        span=place or flow.source_map.span(("inputs", declared.name)),
        pointer=("inputs", declared.name),
        fix=f"Give {declared.name} a value that fits {declared.type}, or change the declared type.",
        related=_declared_here(flow, declared, place),
    )


def _unknown(flow: Flow, name: str, place: Span | None) -> Problem:
    guess = nearest(name, tuple(flow.inputs))
    fix = f'Did you mean "{guess}"?' if guess else "Remove the value, or declare the input."
    if flow.kind == PROMPTY and not flow.inputs:
        fix = "Declare the inputs of the prompty: without them it takes its sample, if it has one."
    return Problem(
        code="T204",
        what=f"The flow has no input {name!r}; the value is ignored.",
        span=place or flow.source_map.key_span(("inputs",)),
        fix=fix,
        severity="warning",
    )

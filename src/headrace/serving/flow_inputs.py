"""From the body of a request to the inputs of a line (promptflow-format: 10)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from headrace.domain.flow import FLEX, Flow, FlowInput
from headrace.domain.values import own_copy
from headrace.errors import Problem, UsageError
from headrace.formats.multimedia import check_sent_images
from headrace.planning.convert import kind_of, make_inputs

MAX_DEPTH = 100
"""Levels of lists and objects in a request, as in a file; what walks through values needs a frame or more for each."""


def read_inputs(flow: Flow, body: bytes) -> dict[str, Any]:
    """The inputs of one request: a JSON object, any text for a flow of a single input, anything for one without inputs.

    Inputs that the flow does not have are ignored; those that are left out take their defaults.

    Raises:
        UsageError: T201, T202 or T210 for every input that does not fit, is missing or names a file, D401 for a body
            that is no object.
    """
    return fit_inputs(flow, _parse(flow, body) if flow.inputs else {})


def fit_inputs(flow: Flow, given: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a line from what a client gave for them.

    Raises:
        UsageError: T201, T202 or T210 for every input that does not fit, is missing or names a file.
    """
    declared = flow.inputs
    missing = [name for name, item in declared.items() if name not in given and not item.has_default]
    if missing:
        what = f"Required input fields {missing} are missing in request data."
        raise UsageError(Problem(code="T202", what=what, fix="Send a JSON object with all of them."))
    # An object without anything in it is tried with the sample, as under prompt flow.
    taken = given or (own_copy(flow.sample) if flow.kind == FLEX else {})
    told = {name: taken[name] for name in declared if name in taken}
    as_given = [
        name for name, item in declared.items() if name in given and _is_left(flow, item, given[name])
    ]
    values, problems = make_inputs(flow, told, as_given=as_given)
    sent = {name: value for name, value in values.items() if name in given}
    if problems := (*problems, *check_sent_images(flow, sent)):
        errors = [problem for problem in problems if problem.severity == "error"]
        if errors:
            raise UsageError(*errors)
    return values


def read_json(body: bytes) -> Any:
    """The value of a body.

    Raises:
        ValueError, RecursionError: It is not JSON.
        UsageError: D401 for one that nests too deep.
    """
    value = json.loads(body)
    # What has fewer brackets cannot be deeper.
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _is_deep(value):
        what = f"The request nests lists and objects more than {MAX_DEPTH} deep."
        raise UsageError(Problem(code="D401", what=what, fix="Send flatter values."))
    return value


def _parse(flow: Flow, body: bytes) -> Mapping[str, Any]:
    try:
        given = read_json(body)
    except (ValueError, RecursionError):
        names = list(flow.inputs)
        if len(names) == 1:
            return {names[0]: _read_text(body)}
        what = f"The request is not JSON, and the flow has {len(names)} inputs."
        fix = 'Send {"input": value, …} as JSON.'
        raise UsageError(Problem(code="D401", what=what, fix=fix)) from None
    if isinstance(given, dict):
        return given
    what = f"The request holds {kind_of(given)}, not an object of input names and values."
    raise UsageError(Problem(code="D401", what=what, fix='Send {"input": value, …}.'))


def _read_text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        what = "The request is neither JSON nor text in UTF-8."
        raise UsageError(Problem(code="D401", what=what, fix="Send text in UTF-8, or JSON.")) from None


def _is_left(flow: Flow, item: FlowInput, value: Any) -> bool:
    """Whether the code of a flex flow gets a value as it was sent, as under prompt flow.

    Text where nothing says a type, and ``null`` where no more than the code says one: ``Optional[int]`` may be nothing.
    """
    if value is None:
        return flow.kind == FLEX and ("inputs", item.name, "type") not in flow.source_map.keys
    return item.is_type_guessed and isinstance(value, str)


def _is_deep(value: Any) -> bool:
    """Whether something is nested deeper than :data:`MAX_DEPTH`; looks at one level after the other."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            item
            for value in level
            if isinstance(value, (dict, list))
            for item in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return False
    return True

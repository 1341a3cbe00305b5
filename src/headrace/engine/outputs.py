"""What a flow of one node answers: its entry's or its model call's result, by name (promptflow-format: 6.2, 7.3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from headrace.domain.flow import DAG, Flow
from headrace.domain.multimedia import MediaForm
from headrace.domain.run import LineResult

RESULT = "output"
"""Name of a result that has no names of its own."""


def has_names(value: Any) -> bool:
    """Whether a result is outputs by name: a mapping, or an object of a dataclass."""
    return isinstance(value, Mapping) or (dataclasses.is_dataclass(value) and not isinstance(value, type))


def name_result(value: Any) -> Mapping[str, Any]:
    """A mapping as it is, a dataclass by its fields, anything else as the one output ``output``."""
    if isinstance(value, Mapping):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {RESULT: value}


def bare_result(flow: Flow, line: LineResult) -> Any:
    """What a caller gets: the outputs of a flow; of a flow of one node what that returned, where it has no names."""
    if flow.kind == DAG or set(line.outputs) != {RESULT}:
        return line.outputs
    returned = line.nodes[0].output
    has_names = isinstance(returned, Mapping) and not isinstance(returned, MediaForm)
    return line.outputs if has_names else line.outputs[RESULT]

"""What a flow of one node answers: its entry's or its model call's result, by name (promptflow-format: 6.2, 7.3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

RESULT = "output"
"""Name of a result that has no names of its own."""


def name_result(value: Any) -> Mapping[str, Any]:
    """A mapping as it is, a dataclass by its fields, anything else as the one output ``output``."""
    if isinstance(value, Mapping):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {RESULT: value}

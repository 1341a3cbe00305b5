"""Plain data and the type names of the flow format."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import isfinite
from typing import Any, Final

JsonValue = None | bool | int | float | str | Sequence["JsonValue"] | Mapping[str, "JsonValue"]
"""Plain data as JSON knows it."""

INPUT_TYPES: Final = (
    "int",
    "double",
    "bool",
    "string",
    "secret",
    "prompt_template",
    "list",
    "object",
    "file_path",
    "image",
    "assistant_definition",
)
"""The exact type names that flow inputs and outputs may have (promptflow-format: 1.2)."""

ANY: Final = "any"
"""Type of an input of a flex flow whose value is passed as it is given; no file may name it."""

MAX_INTEGER_BITS: Final = 14_000
"""Python refuses to write integers of more than 4,300 digits; 2 ** 14,000 has 4,215."""


def own_copy(value: Any) -> Any:
    """A copy of plain data, for code that may change what it gets: lists and mappings are new, all else is the same."""
    kind = type(value)
    if kind is dict:
        return {name: own_copy(item) for name, item in value.items()}
    return [own_copy(item) for item in value] if kind is list else value


def without_nan(value: Any) -> Any:
    """A copy of plain data with ``None`` for numbers that JSON has none for: infinite ones, and what is no number."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    return [without_nan(item) for item in value] if isinstance(value, list | tuple) else value


def without_fields(value: Any, names: Collection[str]) -> Any:
    """A copy of plain data without the fields of some names, at any depth."""
    if isinstance(value, Mapping):
        return {name: without_fields(item, names) for name, item in value.items() if name not in names}
    return [without_fields(item, names) for item in value] if isinstance(value, list | tuple) else value

"""Single fields of nodes that are set from outside, as texts: ``node.field`` to value."""

from __future__ import annotations

import json
from typing import Any, Final

EVERY_MODEL_NODE: Final = "*"
"""Stands for every llm node in place of a node's name: ``*.temperature``."""

NAMES: Final = ("connection", "deployment_name", "model")
"""Fields whose value is a name, whatever it looks like."""


def override_text(field_name: str, value: Any) -> str:
    """A value as the text that :func:`read_override` reads as that value.

    Args:
        field_name: The field that is set.
        value: Plain data.
    """
    if isinstance(value, str) and read_override(field_name, value) == value:
        return value
    return value if field_name in NAMES and isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def read_override(field_name: str, text: str) -> Any:
    """The value that a text sets: JSON where it is JSON (``0.7``, ``true``, ``[1, 2]``, ``"5"``), else the text.

    A connection, a deployment and a model are names, and so always the text.
    """
    if field_name in NAMES:
        return text
    try:
        return json.loads(text, parse_constant=_no_number)
    except ValueError:
        return text


def _no_number(text: str) -> Any:
    raise ValueError(text)

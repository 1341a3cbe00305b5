"""What a flow of any kind says about the place it runs in: environment variables and includes."""

from __future__ import annotations

import json
from typing import Any

from headrace.formats.shape import Block


def read_environment(root: Block) -> dict[str, str]:
    """``environment_variables``; lists and mappings become JSON text."""
    return {name: _text(value) for name, value in root.block("environment_variables").data.items()}


def _text(value: Any) -> str:
    return json.dumps(value, default=str) if isinstance(value, (dict, list)) else str(value)


def read_includes(root: Block) -> tuple[str, ...]:
    """``additional_includes``: paths relative to the flow's folder; what is no path is reported as F005."""
    includes = []
    for pointer, value in root.items("additional_includes"):
        if isinstance(value, str) and value:
            includes.append(value)
        else:
            what = "An include should be the path of a file or folder."
            root.findings.add("F005", pointer, what, "Write a path here.")
    return tuple(includes)

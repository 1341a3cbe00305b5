"""What a flow of any kind says about the place it runs in: environment variables and includes."""

from __future__ import annotations

import json
from typing import Any

from headrace.config import is_variable
from headrace.formats.shape import Block


def read_environment(root: Block) -> dict[str, str]:
    """``environment_variables``; lists and mappings become JSON text.

    What cannot be a variable is reported as F005 and left out.
    """
    block = root.block("environment_variables")
    return settable(block, {name: _text(value) for name, value in block.data.items()})


def settable(block: Block, variables: dict[str, str]) -> dict[str, str]:
    """The variables without those that no environment takes, which are reported as F005 at their names in ``block``."""
    for name in [name for name, text in variables.items() if not is_variable(name, text)]:
        what = f"{name!r} cannot be a variable of the environment."
        fix = "A name is not empty and has no equals sign, and neither has a null character."
        block.findings.add("F005", block.at(name), what, fix, at_key=True)
        del variables[name]
    return variables


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

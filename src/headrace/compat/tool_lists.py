"""How tool packages describe their tools, and the words with which older ones announced theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from headrace.formats.positions import load_yaml, read_text

ClassT = TypeVar("ClassT")

PACKAGE_TOOLS_ENTRY = "package_tools"


def collect_tools_from_directory(base_dir: str | Path) -> dict[str, Any]:
    """Id to description of the tools in the YAML files of a folder, at any depth.

    This is what the entry point of a tool package returns.

    Raises:
        DefinitionError: F002, F003 or F011 for a file that cannot be read.
    """
    found: dict[str, Any] = {}
    for path in sorted(Path(base_dir).rglob("*.y*ml")):
        data, _ = load_yaml(read_text(path), str(path))
        if isinstance(data, dict):
            found.update(data)
    return found


def register(provider: ClassT) -> ClassT:
    """Accept a class or method that announces itself; what is not a node's tool needs no announcement here."""
    return provider


def register_connections(connection_classes: type | Sequence[type]) -> None:
    """Accept connection classes; a tool's annotation is enough here."""
    del connection_classes


def enable_cache(calculate_cache_func: Callable[..., Any]) -> Callable[[ClassT], ClassT]:
    """Accept how a tool's results could be cached; they are not."""
    del calculate_cache_func
    return register

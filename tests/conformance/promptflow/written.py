"""The files that the steps of a case wrote, in a form that does not depend on the engine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from tests.conformance.promptflow.case import Step

_OWN = {"__pycache__", ".headrace"}
"""Folders in which Python and headrace keep what they need for themselves."""

_AUTHOR = {"$schema", "module"}
"""Keys of a connection file that say which program it is for."""


def look_at_files(step: Step, folder: Path) -> dict[str, Any]:
    """The names, or the contents by name, of the files in ``folder`` that the patterns of a step match."""
    result: dict[str, Any] = {}
    if step.lists:
        result["names"] = [path.relative_to(folder).as_posix() for path in _matching(folder, step.lists)]
    if step.reads:
        result["contents"] = {
            path.relative_to(folder).as_posix(): _content(path) for path in _matching(folder, step.reads)
        }
    return result


def _matching(folder: Path, patterns: Iterable[str]) -> list[Path]:
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return sorted(path for path in found if not _OWN & set(path.relative_to(folder).parts))


def _content(path: Path) -> Any:
    """Data for JSON, JSON Lines and YAML, else text."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return json.loads(text)
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    if path.suffix in (".yaml", ".yml"):
        data = yaml.safe_load(text)
        is_mapping = isinstance(data, dict)
        return {key: item for key, item in data.items() if key not in _AUTHOR} if is_mapping else data
    return text

"""Texts in cells of CSV that a spreadsheet would take for formulas."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_FORMULA = re.compile("'*[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_GUARD = "'"


def guard_cell(text: str) -> str:
    """``text`` so that a spreadsheet shows it and does not compute it: an apostrophe stands before a formula.

    Answers of models can begin like formulas, and a formula can call programs or send what stands in other cells.
    Numbers stay as they are. :func:`unguard_cell` gives back exactly what was guarded.

    Source: OWASP, CSV Injection.
    """
    return _GUARD + text if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def unguard_cell(text: str) -> str:
    """What :func:`guard_cell` was given; other texts stay as they are."""
    return text[1:] if text.startswith(_GUARD) and _FORMULA.match(text) else text


def unguarded(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a table with its texts as they were before they were guarded."""
    return {name: unguard_cell(value) if isinstance(value, str) else value for name, value in row.items()}

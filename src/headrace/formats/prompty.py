"""``.prompty`` files → :class:`~headrace.domain.flow.Flow` (promptflow-format: 7)."""

from __future__ import annotations

from pathlib import Path

from headrace.domain.flow import Flow
from headrace.errors import Problem
from headrace.source import file_span


def read_prompty(file: Path) -> tuple[Flow | None, tuple[Problem, ...]]:
    """Read as much of a prompty as can be read, with everything that is wrong with it."""
    what = "A .prompty file cannot be run yet."
    return None, (Problem(code="F010", what=what, span=file_span(str(file)), fix="Use a DAG flow."),)

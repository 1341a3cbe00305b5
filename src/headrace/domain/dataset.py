"""Lines of data and how their columns feed a flow's inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace.source import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of data: ``number`` counts from 0, ``span`` is its place in the data file."""

    number: int
    columns: Mapping[str, Any]
    span: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """All lines of a data file or folder.

    Attributes:
        path: As the user named it.
        lines: In file order, numbered from 0 without gaps.
        columns: Every column name that occurs, in order of first appearance.
        digest: SHA-256 over the content, hexadecimal.
    """

    path: str
    lines: tuple[Line, ...]
    columns: tuple[str, ...]
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedValue:
    """Where one flow input comes from: ``source`` is data, run.inputs, run.outputs or literal."""

    source: str
    column: str | None = None
    literal: Any = None


ColumnMapping = Mapping[str, MappedValue]
"""Flow input name to where its value comes from."""

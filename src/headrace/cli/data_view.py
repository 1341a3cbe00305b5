"""Versions of data as tables, text and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from headrace.cli.run_view import age
from headrace.cli.table import Cell, Column, render_table
from headrace.cli.terminal import Ink
from headrace.cli.version_view import SHORT_DIGEST
from headrace.cli.wording import plural
from headrace.operations.data_versions import DataView

_COLUMNS = (
    Column(title="version", least=16),
    Column(title="lines", is_right=True),
    Column(title="digest", leaves=2),
    Column(title="first run", leaves=1),
    Column(title="file", leaves=3),
    Column(title="runs", is_right=True),
)
_SHOWN_LINES = 5
_SHOWN_RUNS = 3


def render_data(views: Sequence[DataView], *, ink: Ink, width: int | None, now: datetime) -> str:
    """One row per version."""
    rows = [
        [
            Cell(view.version.name),
            Cell(f"{view.version.n_lines:,}"),
            Cell(view.version.digest[:SHORT_DIGEST], ("dim",)),
            Cell(age(view.version.created_at, now), ("dim",)),
            Cell(_kept(view)),
            Cell(f"{len(view.runs):,}"),
        ]
        for view in views
    ]
    return render_table(_COLUMNS, rows, ink=ink, width=width)


def data_to_json(view: DataView) -> dict[str, Any]:
    """One version with the runs that read it."""
    version = view.version
    return {
        "version": version.name,
        "data": version.data,
        "number": version.number,
        "digest": version.digest,
        "lines": version.n_lines,
        "created_on": version.created_at.isoformat(),
        "is_kept": version.content is not None,
        "runs": list(view.runs),
        "origin": view.version.origin,
    }


def render_data_version(view: DataView, text: str, *, ink: Ink) -> str:
    """One version: its id, its runs, and its first lines where they are kept."""
    version = view.version
    runs = "read by no run that is left"
    if view.runs:
        rest = ", …" if len(view.runs) > _SHOWN_RUNS else ""
        runs = f"read by {plural(len(view.runs), 'run')}: {', '.join(view.runs[:_SHOWN_RUNS])}{rest}"
    parts = [
        f"{ink.paint(version.name, 'bold')}  {version.digest}",
        f"{plural(version.n_lines, 'line')}, file {_kept(view)}, {runs}",
    ]
    if version.origin is not None:
        parts.append(say_origin(version.origin))
    lines = text.splitlines()
    if lines:
        more = [f"… {len(lines) - _SHOWN_LINES:,} more"] if len(lines) > _SHOWN_LINES else []
        parts.append("\n".join([*lines[:_SHOWN_LINES], *more]))
    return "\n\n".join(parts)


def say_origin(origin: Mapping[str, Any]) -> str:
    """Where data come from that were made of live requests, in a sentence."""
    revisions = origin["revisions"]
    numbers = f"revision {revisions[0]}"
    if len(revisions) > 1:
        numbers = f"revisions {', '.join(map(str, revisions[:-1]))} and {revisions[-1]}"
    said = [
        f"made of {plural(origin['drawn'], 'live request')} of the online test {origin['test']}, {numbers}",
        f"from {origin['first_at']} to {origin['last_at']}",
        *_say_filters(origin["filters"]),
        f"of {origin['fitting']:,} that fit, drawn with seed {origin['seed']}",
    ]
    if origin["redacted"]:
        said.append(f"without {', '.join(origin['redacted'])}")
    return "; ".join(said)


def _say_filters(filters: Mapping[str, Any]) -> Iterator[str]:
    if "arms" in filters:
        yield f"arm {' or '.join(filters['arms'])}"
    yield from filters.get("feedback", ())
    if "failed" in filters:
        yield "failed"
    yield from (f"{name}={value}" for name, value in filters.get("where", {}).items())


def _kept(view: DataView) -> str:
    return "kept" if view.version.content is not None else "not kept"

"""Runs and their lines as people and programs read them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from shlex import quote
from typing import Any

from headrace.cli.table import Cell, Column, render_table
from headrace.cli.terminal import ELLIPSIS, Ink, one_line
from headrace.cli.wording import duration, plural
from headrace.domain.run import BYPASSED, CANCELED, COMPLETED, FAILED, RUNNING, LineResult, Run, Usage
from headrace.errors import Problem
from headrace.formats.run_summary import render_run_summary, run_duration_s

FAILED_CELL = "(Failed)"
MAX_CELL = 2_000
"""Characters of a value that a table shows: one longer value would widen every row of its column."""

STATUS_STYLES: Mapping[str, tuple[str, ...]] = {
    COMPLETED: ("green",),
    FAILED: ("red", "bold"),
    CANCELED: ("yellow",),
    RUNNING: ("cyan",),
    BYPASSED: ("dim",),
}


def run_to_json(run: Run, first_failure: Problem | None = None) -> dict[str, Any]:
    """A run in the shape that ``pf run show`` prints, with what we know beyond it at the end.

    Args:
        run: The run.
        first_failure: Problem of the first line that failed.
    """
    spec = run.spec
    data = render_run_summary(run, first_failure)
    return data | {
        "lines": {"total": run.n_lines, "completed": run.n_completed, "failed": run.n_failed},
        "metrics": dict(run.metrics),
        "arm": spec.arm,
        "model": spec.model,
        "experiment": spec.experiment,
        "cost_usd": run.usage.cost_usd,
        "flow_version": spec.version_name,
        "flow_digest": spec.flow_digest,
        "data_version": spec.data_version,
        "data_digest": spec.data_digest,
        "finished_on": run.finished_at.isoformat() if run.finished_at else None,
    }


def lines_failed_problem(run: Run) -> Problem:
    """E606: how many lines of the run failed, and where to look."""
    name = run.spec.name
    return Problem(
        code="E606",
        what=f"{run.n_failed:,} of {plural(run.n_lines, 'line')} failed in run {name}.",
        fix=f"See them with: headrace run show-details --name {quote(name)}",
    )


def find_first_failure(lines: Iterable[LineResult]) -> LineResult | None:
    """The failed line with the lowest number; stops reading there."""
    return next((line for line in lines if line.status == FAILED), None)


def is_folded(run: Run) -> bool:
    """Whether the run is one that ``compare`` made to score the run of an arm."""
    return run.spec.source_run is not None and run.spec.experiment is not None


def count_evaluations(runs: Iterable[Run]) -> Counter[str]:
    """How many of ``runs`` evaluate each run."""
    return Counter(run.spec.source_run for run in runs if run.spec.source_run is not None)


def render_run_table(
    runs: Sequence[Run], evaluations: Mapping[str, int], *, ink: Ink, width: int | None, now: datetime
) -> str:
    """One row per run: name, age, status, lines, time, tokens, how it is linked to other runs.

    Args:
        runs: From the top of the table down.
        evaluations: How many runs evaluate each run; 0 where it is not there.
        ink: Colours of the stream.
        width: Cells available; ``None`` for as wide as the content.
        now: What ages are counted from.
    """
    columns = [
        Column(title="name", least=50),  # people copy it: everything else gives way first
        Column(title="created", leaves=4),
        Column(title="status"),
        Column(title="lines", is_right=True),
        Column(title="failed", is_right=True),
        Column(title="time", is_right=True, leaves=3),
        Column(title="tokens", is_right=True, leaves=2),
        Column(title="evaluations", is_right=True, leaves=1),
        Column(title="evaluates", least=24, leaves=5),
        Column(title="experiment", leaves=0),  # whole or not at all: people copy it as well
    ]
    rows = [_run_row(run, evaluations.get(run.spec.name, 0), now) for run in runs]
    filled = [index for index in range(len(columns)) if any(row[index].text for row in rows)]
    return render_table(
        [columns[index] for index in filled],
        [[row[index] for index in filled] for row in rows],
        ink=ink,
        width=width,
    )


def _run_row(run: Run, n_evaluations: int, now: datetime) -> list[Cell]:
    duration_s = run_duration_s(run)
    return [
        Cell(run.spec.name),
        Cell(age(run.created_at, now), ("dim",)),
        Cell(run.status, STATUS_STYLES.get(run.status, ())),
        Cell(f"{run.n_lines:,}"),
        Cell(f"{run.n_failed:,}", ("red",) if run.n_failed else ("dim",)),
        Cell("" if duration_s is None else duration(duration_s * 1000)),
        Cell(_tokens(run.usage), () if run.usage.total_tokens else ("dim",)),
        Cell(f"{n_evaluations:,}" if n_evaluations else ""),
        Cell(run.spec.source_run or "", ("dim",)),
        Cell(run.spec.experiment or "", ("dim",)),
    ]


def age(moment: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that fits; the date after a month."""
    seconds = max(int((now - moment).total_seconds()), 0)
    for limit, unit_s, unit in (
        (60, 1, "s"),
        (3600, 60, "min"),
        (86_400, 3600, "h"),
        (30 * 86_400, 86_400, "d"),
    ):
        if seconds < limit:
            return f"{seconds // unit_s} {unit} ago"
    return moment.date().isoformat()


def detail_columns(lines: Sequence[LineResult]) -> tuple[list[str], list[str]]:
    """Every input name and every output name that occurs, in order of first appearance."""
    inputs: dict[str, None] = {}
    outputs: dict[str, None] = {}
    for line in lines:
        inputs.update(dict.fromkeys(line.inputs))
        outputs.update(dict.fromkeys(line.outputs))
    return list(inputs), list(outputs)


def details_to_json(lines: Sequence[LineResult]) -> list[dict[str, Any]]:
    """One object per line: its number, status, inputs, outputs and, where it failed, its error and its problem."""
    return [
        {
            "line_number": line.line_number,
            "status": line.status,
            "inputs": dict(line.inputs),
            "outputs": dict(line.outputs),
            "error": _error_text(line) or None,
            "problem": line.problem.to_json() if line.problem else None,
            "duration_ms": round(line.duration_ms, 3),
            "tokens": line.usage.total_tokens if line.usage.knows_tokens else None,
        }
        for line in lines
    ]


def _tokens(usage: Usage) -> str:
    return f"{usage.total_tokens:,}" if usage.knows_tokens else "unknown"


def render_details(lines: Sequence[LineResult], *, ink: Ink, width: int | None) -> str:
    """A table: status, ``inputs.*`` and ``outputs.*`` columns, error; ``(Failed)`` where a line has no output.

    Values are cut to :data:`MAX_CELL` characters at any width.

    Args:
        lines: In order of line number.
        ink: Colours of the stream.
        width: Cells available; where the columns do not fit, each line is written as a block of its own.
    """
    inputs, outputs = detail_columns(lines)
    has_errors = any(line.problem for line in lines)
    if width is not None and 17 + 14 * (len(inputs) + len(outputs)) + 32 * has_errors > width:
        return "\n\n".join(_render_block(line, inputs, outputs, ink, width) for line in lines)
    rows = [
        [
            Cell(str(line.line_number), ("dim",)),
            _status_cell(line),
            *(Cell(cell_text(line.inputs[name]) if name in line.inputs else "") for name in inputs),
            *(_output_cell(line, name) for name in outputs),
            *([_error_cell(line)] if has_errors else []),
        ]
        for line in lines
    ]
    columns = [
        Column(title="line", is_right=True),
        Column(title="status"),
        *(
            Column(title=f"inputs.{name}", least=12, is_right=_has_numbers(lines, "inputs", name))
            for name in inputs
        ),
        *(
            Column(title=f"outputs.{name}", least=12, is_right=_has_numbers(lines, "outputs", name))
            for name in outputs
        ),
        *([Column(title="error", least=30)] if has_errors else []),
    ]
    return render_table(columns, rows, ink=ink, width=width)


def _status_cell(line: LineResult) -> Cell:
    return Cell(line.status, STATUS_STYLES.get(line.status, ()))


def _error_cell(line: LineResult) -> Cell:
    return Cell(cell_text(_error_text(line)), ("red",))


def _error_text(line: LineResult) -> str:
    problem = line.problem
    return f"{problem.code} {problem.name}: {problem.what}" if problem else ""


def _has_numbers(lines: Sequence[LineResult], side: str, name: str) -> bool:
    """Whether a column holds numbers only, so that it stands right."""
    values = [getattr(line, side)[name] for line in lines if name in getattr(line, side)]
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _render_block(
    line: LineResult, inputs: Sequence[str], outputs: Sequence[str], ink: Ink, width: int
) -> str:
    pairs = [("status", _status_cell(line))]
    if line.problem:
        pairs.append(("error", _error_cell(line)))
    pairs += [
        (f"inputs.{name}", Cell(cell_text(line.inputs[name]))) for name in inputs if name in line.inputs
    ]
    pairs += [(f"outputs.{name}", _output_cell(line, name)) for name in outputs]
    columns = [Column(title="line"), Column(title=str(line.line_number), least=20)]
    return render_table(
        columns, [[Cell(title, ("dim",)), cell] for title, cell in pairs], ink=ink, width=width
    )


def _output_cell(line: LineResult, name: str) -> Cell:
    if name in line.outputs:
        return Cell(cell_text(line.outputs[name]))
    return Cell(FAILED_CELL, STATUS_STYLES[FAILED]) if line.status == FAILED else Cell("")


def cell_text(value: Any) -> str:
    """A value on one line, cut to :data:`MAX_CELL` characters: text as it is, anything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return one_line(text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + ELLIPSIS)

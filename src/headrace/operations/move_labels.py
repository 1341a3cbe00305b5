"""Labels out of the store and into it, so that they can be made elsewhere."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from headrace.domain.dataset import Line
from headrace.domain.label import Label, labels_in_force
from headrace.domain.run import COMPLETED
from headrace.errors import DefinitionError, Problem, UsageError
from headrace.formats.csv_cells import guard_cell, unguarded
from headrace.formats.lines import read_dataset
from headrace.operations.label_answers import (
    Answer,
    LabelRequest,
    check_metric,
    collect_named,
    draw_answers,
    no_answer,
)
from headrace.operations.workspace import Workspace

COLUMNS = ("run", "line_number", "metric", "value", "labeller", "is_random", "at", "note")
"""Of a file of labels."""

BLANK_COLUMNS = (
    "item", "line_number", "inputs", "reference", "answer", "metric", "value", "labeller", "is_random", "note",
)  # fmt: skip
"""Of a file of answers that are to be labelled elsewhere; ``item`` stands for the run, so that it is not seen."""

_WORDS: Mapping[str, float] = {"pass": 1.0, "fail": 0.0}
_MOST_ALIKE = 3
"""Rows with the same problem that are named."""
_TRUE = ("true", "1", "yes")


def label_rows(workspace: Workspace, runs: Sequence[str], metric: str | None = None) -> list[dict[str, Any]]:
    """The labels in force of some runs, as :data:`COLUMNS`.

    Raises:
        UsageError: S801 for an unknown run.
    """
    return [
        {
            "run": run,
            "line_number": label.line_number,
            "metric": label.metric,
            "value": label.value,
            "labeller": label.labeller,
            "is_random": label.is_random,
            "at": label.at.isoformat(timespec="seconds"),
            "note": label.note,
        }
        for run in dict.fromkeys(runs)
        for label in labels_in_force(workspace.store.read_labels(run)).values()
        if metric in (None, label.metric)
    ]


def blank_rows(workspace: Workspace, request: LabelRequest) -> list[dict[str, Any]]:
    """Drawn answers without values, as :data:`BLANK_COLUMNS`.

    Raises:
        UsageError: S801 for an unknown run, G901 for an unknown metric, G947 and G949 as
            :func:`~headrace.operations.label_answers.draw_answers`.
    """
    collected = collect_named(workspace, request.runs)
    check_metric(collected, request.metric)
    return [
        {
            "item": answer.item,
            "line_number": answer.line_number,
            "inputs": _text(answer.inputs),
            "reference": answer.reference,
            "answer": _text(answer.outputs),
            "metric": request.metric,
            "value": None,
            "labeller": request.labeller,
            "is_random": not request.lines,
            "note": "",
        }
        for answer in draw_answers(workspace, collected, request)
    ]


def render_rows(rows: Sequence[Mapping[str, Any]], form: str) -> str:
    """Rows as ``jsonl`` or ``csv``, with a line end after each."""
    if form == "jsonl":
        return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    names = list(rows[0]) if rows else list(COLUMNS)
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def import_labels(
    workspace: Workspace, file: Path, runs: Sequence[str] = (), *, labeller: str | None = None
) -> dict[str, int]:
    """Keep the labels of a file; all of them, or none when one row is wrong.

    A row without a value is left out. A row names its ``run``, or its ``item`` among the answers of ``runs``. It counts
    as drawn at random only where it says so.

    Args:
        workspace: For the store.
        file: Any data file with :data:`COLUMNS` or :data:`BLANK_COLUMNS`.
        runs: The runs that items stand for.
        labeller: Who has labelled, where rows do not say.

    Returns:
        How many labels each run has got.

    Raises:
        DefinitionError: D401 to D405 for the file; G946 for a value that is no number from 0 to 1, G947 for an answer
            that does not exist, G948 for a row that does not say what it is about.
        UsageError: S801 for an unknown run of ``runs``.
    """
    items = {answer.item: answer for answer in _all_answers(workspace, runs)} if runs else {}
    reader = _Reader(workspace, items, labeller, is_table=file.suffix == ".csv")
    for line in read_dataset(file).lines:
        reader.read(line)
    if reader.problems:
        raise DefinitionError(*_first_of_each(reader.problems))
    for run, labels in reader.labels.items():
        workspace.store.append_labels(run, labels)
    return {run: len(labels) for run, labels in reader.labels.items()}


class _Reader:
    """Makes labels of rows and keeps what is wrong with them."""

    def __init__(
        self, workspace: Workspace, items: Mapping[str, Answer], labeller: str | None, *, is_table: bool
    ) -> None:
        self.labels: dict[str, list[Label]] = {}
        self.problems: list[Problem] = []
        self._workspace = workspace
        self._items = items
        self._labeller = labeller
        self._is_table = is_table
        self._answered: dict[str, set[int]] = {}

    def read(self, line: Line) -> None:
        """Read one row."""
        row = unguarded(line.columns) if self._is_table else line.columns
        if row.get("value") in (None, ""):
            return
        try:
            label = self._label(row)
            for run, number in self._places(row):
                self.labels.setdefault(run, []).append(replace(label, line_number=number))
        except UsageError as error:
            self.problems += [replace(problem, span=line.span) for problem in error.problems]

    def _label(self, row: Mapping[str, Any]) -> Label:
        metric = row.get("metric")
        if not isinstance(metric, str) or not metric:
            raise UsageError(_unreadable("names no metric", "Fill the column metric."))
        return Label(
            line_number=0,
            metric=metric,
            value=_read_value(row["value"]),
            labeller=str(row.get("labeller") or self._labeller or ""),
            is_random=str(row.get("is_random", "")).lower() in _TRUE,
            at=self._workspace.now(),
            note=str(row.get("note") or ""),
        )

    def _places(self, row: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
        if row.get("run") in (None, "") and row.get("item"):
            answer = self._items.get(str(row["item"]))
            if answer is None:
                fix = "Name the runs that the answers were drawn from after the file, all of them."
                raise UsageError(_unreadable("names an item that is none of the runs'", fix))
            return answer.places
        if row.get("run") in (None, ""):
            raise UsageError(_unreadable("names no run", "Fill the column run, or item."))
        run = str(row["run"])
        try:
            number = int(str(row.get("line_number")))
        except ValueError as error:
            fix = "Write the number of the line, from 0."
            raise UsageError(_unreadable("has no line_number", fix)) from error
        if run not in self._answered:
            statuses = self._workspace.store.line_statuses(run)
            self._answered[run] = {line for line, status in statuses.items() if status == COMPLETED}
        if number not in self._answered[run]:
            raise UsageError(no_answer(number, [run]))
        return ((run, number),)


def _first_of_each(problems: Sequence[Problem]) -> Iterator[Problem]:
    """The first rows of each problem; the last of them counts the others."""
    same: dict[str, list[Problem]] = {}
    for problem in problems:
        same.setdefault(f"{problem.code} {problem.what}", []).append(problem)
    for found in same.values():
        *first, last = found[:_MOST_ALIKE]
        left = len(found) - _MOST_ALIKE
        rows = "row has" if left == 1 else "rows have"
        yield from first
        yield replace(last, what=f"{last.what} {left:,} more {rows} the same problem.") if left > 0 else last


def _unreadable(what: str, fix: str) -> Problem:
    return Problem(code="G948", what=f"The row {what}, so it cannot be kept as a label.", fix=fix)


def _read_value(value: Any) -> float:
    """A number from 0 to 1; pass and fail are 1 and 0.

    Raises:
        UsageError: G946 for anything else.
    """
    word = value.strip().lower() if isinstance(value, str) else value
    try:
        number = _WORDS[word] if isinstance(word, str) and word in _WORDS else float(word)
    except (TypeError, ValueError):
        number = -1.0
    if not 0.0 <= number <= 1.0:
        fix = "Write a number from 0 to 1, pass or fail; a grade from 1 to 5 is (grade - 1) / 4."
        raise UsageError(Problem(code="G946", what="The label is no number from 0 to 1.", fix=fix))
    return number


def _all_answers(workspace: Workspace, runs: Sequence[str]) -> Iterable[Answer]:
    return draw_answers(workspace, collect_named(workspace, runs), LabelRequest(runs=tuple(runs), metric=""))


def _text(values: Mapping[str, Any]) -> str:
    """One value as it is, several as lines with their names."""
    texts = {name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
             for name, value in values.items()}  # fmt: skip
    return next(iter(texts.values())) if len(texts) == 1 else "\n".join(_named(texts))


def _named(texts: Mapping[str, str]) -> Iterator[str]:
    return (f"{name}: {text}" for name, text in texts.items())


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return guard_cell(value)
    return str(value).lower() if isinstance(value, bool) else value

"""What the data says of a line beside its inputs: the cluster, the slices, and what people think of the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

from headrace.domain.dataset import Dataset, Line
from headrace.domain.scores import HumanLabel, LineFacts, MetricSpec
from headrace.errors import Problem, UsageError, nearest
from headrace.source import Span

Place = Callable[[], Span | None]


def text_of(value: Any) -> str | None:
    """A cell as text; ``None`` where it is empty."""
    text = "" if value is None else str(value).strip()
    return text or None


def read_label(value: Any) -> float | None:
    """What a person says, as a number; truth values count as 1 and 0, an empty cell is no label.

    Raises:
        ValueError: The cell holds something that is no finite number.
    """
    text = text_of(value)
    if text is None:
        return None
    number = float(value) if isinstance(value, (bool, int, float)) else float(text)
    if not isfinite(number):
        raise ValueError(text)
    return number


def line_names(dataset: Dataset, line_id: str | None) -> dict[int, str]:
    """Line number to the name of the line: its value in the column ``line_id``, else its number."""
    if line_id is None:
        return {line.number: str(line.number) for line in dataset.lines}
    return {line.number: str(line.columns.get(line_id, line.number)) for line in dataset.lines}


def find_twins(dataset: Dataset, line_id: str) -> Problem | None:
    """G902 where two lines have the same value in the column that identifies lines, at the second one."""
    first: dict[str, Line] = {}
    for line in dataset.lines:
        name = str(line.columns.get(line_id, line.number))
        if name not in first:
            first[name] = line
            continue
        place = first[name].span
        return Problem(
            code="G902",
            what=f"Column {line_id!r} of the data does not identify lines: some values occur more than once.",
            span=line.span,
            related=(("the same value stands here", place),) if place else (),
            fix="Name a column with unique values, or leave line_id away to pair lines by their number.",
        )
    return None


def missing_column(dataset: Dataset, column: str, use: str, place: Span | None) -> Problem | None:
    """D403 where the data has no such column; ``use`` says what it is named for."""
    if column in dataset.columns:
        return None
    guess = nearest(column, dataset.columns)
    start = f'Did you mean "{guess}"? ' if guess else ""
    return Problem(
        code="D403",
        what=f"{use} names the column {column!r}, which the data does not have.",
        span=place or (dataset.first.span if dataset.lines else None),
        fix=f"{start}Columns: {', '.join(dataset.columns)}.",
    )


def collect_facts(
    dataset: Dataset, line_id: str | None, cluster: str | None, slices: Sequence[str]
) -> dict[str, LineFacts]:
    """Cluster and slices of every line, by its name.

    Raises:
        UsageError: D403 when the data has no such column.
    """
    uses = [("cluster", cluster)] if cluster is not None else []
    uses += [("slices", column) for column in slices]
    found = (missing_column(dataset, column or "", use, None) for use, column in uses)
    problems = [problem for problem in found if problem is not None]
    if problems:
        raise UsageError(*problems)
    if not uses:
        return {}
    names = line_names(dataset, line_id)
    return {
        names[line.number]: LineFacts(
            cluster=text_of(line.columns.get(cluster)) if cluster is not None else None,
            slices={column: text_of(line.columns.get(column)) or "(empty)" for column in slices},
        )
        for line in dataset.lines
    }


def collect_column_labels(
    datasets: Mapping[str, Dataset], metrics: Iterable[MetricSpec], line_id: str | None
) -> tuple[HumanLabel, ...]:
    """What people say in columns of the data, for every metric and arm that names one.

    Args:
        datasets: The data of each arm.
        metrics: Metrics with their ``labels``.
        line_id: Column that identifies a line.

    Raises:
        UsageError: D403 when a column does not exist, G904 when a cell holds no number.
    """
    labels: list[HumanLabel] = []
    problems: list[Problem] = []
    for metric in metrics:
        for arm, column in metric.labels.items():
            dataset = datasets.get(arm)
            if dataset is None:
                continue
            found = check_labels(dataset, column, f"The labels of {metric.name} for {arm}", None)
            problems += found
            names = {} if found else line_names(dataset, line_id)
            for line in dataset.lines if not found else ():
                value = read_label(line.columns.get(column))
                if value is not None:
                    name = names[line.number]
                    labels.append(HumanLabel(metric=metric.name, arm=arm, line_id=name, value=value))
    if problems:
        raise UsageError(*problems)
    return tuple(labels)


def check_labels(dataset: Dataset, column: str, use: str, place: Span | None) -> tuple[Problem, ...]:
    """D403 where the column is not there, G904 at the first cell that holds no number."""
    missing = missing_column(dataset, column, use, place)
    if missing is not None:
        return (missing,)
    for line in dataset.lines:
        try:
            read_label(line.columns.get(column))
        except ValueError:
            return (
                Problem(
                    code="G904",
                    what=f"Column {column!r} holds a label that is no number.",
                    span=line.span or place,
                    fix="Write a number, true or false; leave the cell empty where nobody has looked.",
                ),
            )
    return ()

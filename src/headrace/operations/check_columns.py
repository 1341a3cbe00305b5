"""The columns that an experiment judges by, checked against its data before anything runs."""

from __future__ import annotations

from headrace.domain.dataset import Dataset
from headrace.domain.evaluation import Experiment
from headrace.errors import Problem
from headrace.operations.line_facts import check_labels, find_twins, missing_column
from headrace.source import Span


def check_columns(experiment: Experiment, dataset: Dataset) -> tuple[Problem, ...]:
    """Find columns for ids, clusters, slices and labels that are not there or do not serve.

    Returns:
        D403 for a column that does not exist, G902 for ids that occur twice, G904 for a label that is no number.
    """
    found: list[Problem | None] = []
    if experiment.line_id is not None:
        place = _place(experiment, "line_id")
        absent = missing_column(dataset, experiment.line_id, "line_id", place)
        found.append(absent or find_twins(dataset, experiment.line_id))
    if experiment.cluster is not None:
        found.append(missing_column(dataset, experiment.cluster, "cluster", _place(experiment, "cluster")))
    found += [
        missing_column(dataset, column, "slices", _place(experiment, "slices", number))
        for number, column in enumerate(experiment.slices)
    ]
    for number, metric in enumerate(experiment.metrics):
        for arm, column in metric.labels.items():
            place = _place(experiment, "metrics", number, "labels", arm)
            found += check_labels(dataset, column, f"The labels of {metric.name} for {arm}", place)
    return tuple(problem for problem in found if problem is not None)


def _place(experiment: Experiment, *pointer: str | int) -> Span | None:
    """Where the experiment file says so; ``None`` where an option did."""
    found = experiment.place(*pointer)
    return None if found == experiment.place() else found

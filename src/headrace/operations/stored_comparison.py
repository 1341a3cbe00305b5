"""Arms of a comparison that was made before: from its JSON file, or from the recorded runs of an experiment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from headrace.domain.gate import GateBaseline
from headrace.domain.scores import ArmLines, LineObservation
from headrace.errors import Problem, UsageError, nearest
from headrace.operations.compare_runs import ComparisonResult, compare_experiment_again
from headrace.operations.workspace import Workspace
from headrace.source import Span

_HOW = "Write one with: headrace compare EXPERIMENT --output FILE.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArms:
    """What another comparison knows of its arms.

    Attributes:
        source: Name of the file, or id of the experiment.
        baseline: Its baseline.
        arms: Its arms. Of a file each line has one observation, the mean over its repeats, without cost and duration.
        metrics: Its metrics.
        data_digests: Of the data that its lines come from; empty where that is not known.
        judges: Metric to the versions of the models that gave its scores.
        made: Which runs they are, where they are those of a version or of a branch.
    """

    source: str
    baseline: str
    arms: tuple[ArmLines, ...]
    metrics: tuple[str, ...]
    data_digests: frozenset[str] = frozenset()
    judges: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    made: GateBaseline | None = None

    def find(self, arm: str) -> ArmLines:
        """The lines of ``arm``.

        Raises:
            UsageError: V305 when there is no such arm.
        """
        names = [item.arm for item in self.arms]
        for item in self.arms:
            if item.arm == arm:
                return item
        near = nearest(arm, names)
        what = f'{self.source} has no arm "{arm}" to compare with.'
        fix = f'Did you mean "{near}"?' if near else f"Its arms are: {', '.join(names)}."
        raise UsageError(Problem(code="V305", what=what, fix=fix))


def read_stored_arms(path: Path) -> StoredArms:
    """Read what ``headrace compare --output FILE.json`` or ``headrace gate --output FILE.json`` has written.

    Raises:
        UsageError: G963 when the file cannot be read as that.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, "cannot be read") from error
    except JSONDecodeError as error:
        place = Span(
            file=str(path),
            line=error.lineno,
            column=error.colno,
            end_line=error.lineno,
            end_column=error.colno,
        )
        raise _unreadable(path, "is no JSON", place) from error
    try:
        return _stored(path.name, document)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise _unreadable(path, "is no comparison of headrace with the scores of its lines") from error


def recorded_arms(workspace: Workspace, experiment: str) -> StoredArms:
    """The arms of an experiment in the store.

    Raises:
        UsageError: S801 when there is no such experiment.
    """
    return stored_arms(compare_experiment_again(workspace, experiment), experiment)


def stored_arms(result: ComparisonResult, source: str) -> StoredArms:
    """The arms of a comparison, to compare others with."""
    metrics = result.comparison.metrics
    return StoredArms(
        source=source,
        baseline=result.comparison.baseline,
        arms=result.arms,
        metrics=tuple(metric.spec.name for metric in metrics),
        data_digests=frozenset(run.spec.data_digest for run in result.runs if run.spec.data_digest),
        judges={metric.spec.name: metric.judge.versions for metric in metrics if metric.judge},
    )


def _stored(source: str, document: Mapping[str, Any]) -> StoredArms:
    comparison, context = document["comparison"], document["context"]
    matrix = context["matrix"]
    names = [summary["arm"] for summary in comparison["arms"]]
    metrics = comparison["metrics"]
    return StoredArms(
        source=source,
        baseline=str(comparison["baseline"]),
        arms=tuple(_lines(name, matrix) for name in names),
        metrics=tuple(matrix["scores"]),
        data_digests=frozenset(run["data_digest"] for run in context["runs"] if run["data_digest"]),
        judges={
            metric["spec"]["name"]: tuple(metric["judge"]["versions"])
            for metric in metrics
            if metric["judge"]
        },
    )


def _lines(arm: str, matrix: Mapping[str, Any]) -> ArmLines:
    scores: Mapping[str, Sequence[float | None]] = {
        metric: by_arm[arm] for metric, by_arm in matrix["scores"].items()
    }
    failed = set(matrix["failed"].get(arm, ()))
    lines = {}
    for place, line_id in enumerate(matrix["line_ids"]):
        found = {metric: values[place] for metric, values in scores.items()}
        # A line that failed in some repeats only has the mean of the others.
        is_failed = place in failed and all(value is None for value in found.values())
        lines[str(line_id)] = (LineObservation(scores=found, is_failed=is_failed),)
    return ArmLines(arm=arm, lines=lines)


def _unreadable(path: Path, reason: str, span: Span | None = None) -> UsageError:
    return UsageError(Problem(code="G963", what=f"{path} {reason}.", span=span, fix=_HOW))

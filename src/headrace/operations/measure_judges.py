"""From recorded evaluations and labels to what is known of the judges of each metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from headrace.domain.comparison import JudgeQuality
from headrace.domain.label import labels_in_force
from headrace.domain.scores import HumanLabel, MetricSpec
from headrace.evaluation.judge_quality import AnswerKey, Judged, measure_judge
from headrace.operations.collect_scores import Collected, as_score
from headrace.operations.judge_versions import versions_of
from headrace.operations.workspace import Workspace

JUDGEMENTS = "_judgements"
"""Ends the name of the output that holds what each judge said."""

_POSITIONS = (None, "first", "second")


def stored_labels(
    workspace: Workspace, collected: Sequence[Collected], metrics: Sequence[MetricSpec]
) -> tuple[HumanLabel, ...]:
    """The labels in force that the store has of the runs, for lines that have an answer.

    What one person said about several repeats of an answer is averaged.
    """
    names = {metric.name for metric in metrics}
    found: dict[tuple[str, str, str, str], list[tuple[float, bool]]] = {}
    for item in collected:
        ids = {line.result.line_number: line.line_id for line in item.lines if line.result.outputs}
        for label in labels_in_force(workspace.store.read_labels(item.judged.run.spec.name)).values():
            line_id = ids.get(label.line_number)
            if line_id is not None and label.metric in names and label.value is not None:
                key = (label.metric, item.judged.arm, line_id, label.labeller)
                found.setdefault(key, []).append((label.value, label.is_random))
    return tuple(
        HumanLabel(
            metric=metric,
            arm=arm,
            line_id=line_id,
            value=fmean(value for value, _ in said),
            is_random=all(is_random for _, is_random in said),
            labeller=labeller,
        )
        for (metric, arm, line_id, labeller), said in found.items()
    )


def measure_judges(
    collected: Sequence[Collected], metrics: Sequence[MetricSpec], labels: Sequence[HumanLabel]
) -> Mapping[str, JudgeQuality]:
    """What is known of the judges of each metric that a model gives, or of which people have labelled answers."""
    found: dict[str, JudgeQuality] = {}
    for metric in metrics:
        versions = _versions(collected, metric.name)
        if versions or any(label.metric == metric.name for label in labels):
            found[metric.name] = measure_judge(
                metric.name,
                versions=versions,
                judged=tuple(_judged(collected, metric.name)),
                scores=_scores(collected, metric.name),
                labels=labels,
            )
    return found


def _versions(collected: Sequence[Collected], metric: str) -> tuple[str, ...]:
    for item in collected:
        run = item.judged.evaluations.get(metric) or item.judged.evaluations.get(metric.partition(".")[0])
        if run is not None and versions_of(run):
            return versions_of(run)
    return ()


def _judged(collected: Sequence[Collected], metric: str) -> Iterator[Judged]:
    for item in collected:
        for line in item.lines:
            said = line.scores.get(f"{metric}{JUDGEMENTS}")
            if not isinstance(said, list):
                continue
            # Every repeat of an arm is an answer of its own.
            line_id = f"{line.line_id}\0{item.judged.run.spec.repeat}"
            yield from filter(None, (_read(one, item.judged.arm, line_id) for one in said))


def _read(said: Any, arm: str, line_id: str) -> Judged | None:
    """A judgement as it was recorded; ``None`` where no model gave it or it has no score."""
    if not isinstance(said, Mapping) or not said.get("judge"):
        return None
    score, repeat, position = as_score(said.get("score")), said.get("repeat", 0), said.get("position")
    # An evaluation flow of the user's may have an output of this name that is something else.
    if score is None or not 0.0 <= score <= 1.0 or not isinstance(repeat, int) or position not in _POSITIONS:
        return None
    judge = str(said["judge"])
    return Judged(arm=arm, line_id=line_id, judge=judge, repeat=repeat, position=position, score=score)


def _scores(collected: Sequence[Collected], metric: str) -> dict[AnswerKey, float]:
    found: dict[AnswerKey, list[float]] = {}
    for item in collected:
        for line in item.lines:
            score = as_score(line.scores.get(metric))
            if score is not None:
                found.setdefault((item.judged.arm, line.line_id), []).append(score)
    return {key: fmean(scores) for key, scores in found.items()}

"""Estimates that what people say about some answers corrects, where an evaluator scores all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum

from headrace.domain.comparison import ArmScore, Estimate, PairedEffect
from headrace.domain.scores import HumanLabel
from headrace.evaluation import wording
from headrace.evaluation.line_scores import ScoreTable, SettledMetric, usable_score
from headrace.evaluation.stats.estimate import (
    bounded_difference_interval,
    bounded_mean_interval,
    mean,
    t_interval,
)
from headrace.evaluation.stats.labelled import MIN_LABELS, labelled_mean


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricLabels:
    """What people say about the answers of every arm on one metric.

    Attributes:
        random: Arm to line to label, of answers that were drawn at random; several people's are averaged.
        n_other: Labels of answers that were not drawn at random, by arm.
        n_outside: Labels outside the range of the metric, or not finite, by arm.
        n_astray: Labels of answers that the comparison does not have, by arm.
    """

    random: Mapping[str, Mapping[str, float]]
    n_other: Mapping[str, int]
    n_outside: Mapping[str, int]
    n_astray: Mapping[str, int]


def gather_labels(labels: Sequence[HumanLabel], table: ScoreTable) -> MetricLabels:
    """The labels of one metric that may correct its estimates, and how many may not."""
    metric = table.metric
    found: dict[str, dict[str, list[float]]] = {}
    n_other: dict[str, int] = {}
    n_outside: dict[str, int] = {}
    n_astray: dict[str, int] = {}
    for label in labels:
        if label.metric != metric.spec.name:
            continue
        value = usable_score(label.value)
        if label.arm not in table.counted or label.line_id not in table.counted[label.arm].repeats:
            n_astray[label.arm] = n_astray.get(label.arm, 0) + 1
        elif value is None or (metric.spec.kind != "unbounded" and not 0.0 <= value <= 1.0):
            n_outside[label.arm] = n_outside.get(label.arm, 0) + 1
        elif not label.is_random:
            n_other[label.arm] = n_other.get(label.arm, 0) + 1
        else:
            found.setdefault(label.arm, {}).setdefault(label.line_id, []).append(value)
    averaged = {
        arm: {line: fsum(values) / len(values) for line, values in lines.items()}
        for arm, lines in found.items()
    }
    return MetricLabels(random=averaged, n_other=n_other, n_outside=n_outside, n_astray=n_astray)


def correct_scores(
    scores: Sequence[ArmScore], table: ScoreTable, labels: MetricLabels, level: float
) -> tuple[ArmScore, ...]:
    """The scores with the mean that labels and evaluator give together; ``None`` with too few labels.

    Source: prediction-powered inference; see ``stats.labelled``.
    """
    return tuple(
        replace(
            score,
            corrected=_estimate(
                labels.random.get(score.arm, {}), table.counted[score.arm].values, table.metric, level
            ),
        )
        for score in scores
    )


def correct_effects(
    effects: Sequence[PairedEffect], table: ScoreTable, labels: MetricLabels, level: float
) -> tuple[PairedEffect, ...]:
    """The effects with the difference that labels of both arms' answers to the same lines give."""
    corrected = []
    for effect in effects:
        ours, theirs = (labels.random.get(arm, {}) for arm in (effect.arm, effect.against))
        said = {line: value - theirs[line] for line, value in ours.items() if line in theirs}
        left, right = (table.counted[arm].values for arm in (effect.arm, effect.against))
        scored = {line: value - right[line] for line, value in left.items() if line in right}
        estimate = _estimate(said, scored, table.metric, level, is_difference=True)
        corrected.append(replace(effect, corrected=estimate))
    return tuple(corrected)


def label_caveats(labels: MetricLabels, metric: SettledMetric) -> Iterator[str]:
    """Why labels do not correct the estimates of a metric, where there are some that do not."""
    name = metric.spec.name
    few = {arm: len(lines) for arm, lines in labels.random.items() if len(lines) < MIN_LABELS}
    if few:
        counts = ", ".join(f"{n} for {arm}" for arm, n in few.items())
        yield f"Labels of {name} correct nothing below {MIN_LABELS} randomly drawn answers of an arm: {counts}."
    if labels.n_other:
        counts = ", ".join(f"{n} of {arm}" for arm, n in labels.n_other.items())
        yield f"Labels of {name} for answers that were not drawn at random correct nothing: {counts}."
    if labels.n_outside:
        counts = ", ".join(f"{wording.count(n, 'label')} of {arm}" for arm, n in labels.n_outside.items())
        limits = (
            "Not finite numbers"
            if metric.spec.kind == "unbounded"
            else f"Outside the range of {name}, 0 to 1,"
        )
        yield f"{limits} and left out: {counts}."
    if labels.n_astray:
        counts = ", ".join(f"{n} of {arm}" for arm, n in labels.n_astray.items())
        yield f"Labels of {name} for answers that are not compared are left out: {counts}."


def _estimate(
    said: Mapping[str, float],
    scored: Mapping[str, float],
    metric: SettledMetric,
    level: float,
    *,
    is_difference: bool = False,
) -> Estimate | None:
    both = [line for line in said if line in scored]
    rest = [value for line, value in scored.items() if line not in said]
    if len(both) < MIN_LABELS:
        return None
    labels = [said[line] for line in both]
    width = metric.value_range * (2.0 if is_difference else 1.0)
    if len(rest) < 2:  # people have seen every answer: nothing is left for the evaluator to say
        return _labels_alone(labels, metric, level, is_difference=is_difference)
    if width <= 0.0:
        return None
    judged = [scored[line] for line in both]
    middle = 0.0 if is_difference else _middle(metric, scored)
    found = labelled_mean(labels, judged, rest, value_range=width, middle=middle, level=level)
    if found is None:
        return None
    interval = found.interval
    if metric.spec.kind != "unbounded":
        low, high = (-1.0 if is_difference else 0.0), 1.0
        interval = replace(interval, low=max(low, interval.low), high=min(high, interval.high))
        value = max(low, min(high, found.value))
        return Estimate(value=value, interval=interval, n=found.n_labels)
    return Estimate(value=found.value, interval=interval, n=found.n_labels)


def _labels_alone(
    labels: Sequence[float], metric: SettledMetric, level: float, *, is_difference: bool
) -> Estimate:
    if metric.spec.kind == "unbounded":
        interval = t_interval(labels, level=level)
    elif is_difference:
        interval = bounded_difference_interval(labels, level=level)
    else:
        interval = bounded_mean_interval(labels, level=level)
    if interval is not None:
        interval = replace(interval, method=f"labels alone, {interval.method}")
    return Estimate(value=mean(labels), interval=interval, n=len(labels))


def _middle(metric: SettledMetric, scored: Mapping[str, float]) -> float:
    if metric.spec.kind != "unbounded":
        return 0.5
    return (min(scored.values()) + max(scored.values())) / 2.0

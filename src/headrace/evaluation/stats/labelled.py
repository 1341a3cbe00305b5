"""A judge's scores of all answers together with people's labels of a few: estimates that the judge cannot bias.

The labelled answers must have been drawn at random; labels of hard cases bias every estimate here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, sqrt

from headrace.domain.comparison import Interval
from headrace.evaluation.stats.estimate import mean, needs_sparse_guard, variance
from headrace.evaluation.stats.special import normal_quantile, t_quantile

#: Labels below which no estimate is given: the intervals would cover too rarely or say too little.
MIN_LABELS = 50
#: Labels from which on the normal interval covers as it promises.
PLAIN_LABELS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledMean:
    """A mean from labels and a judge.

    Attributes:
        value: In the unit of the labels.
        interval: Its confidence interval, not clipped.
        label_weight: How much the judge's scores count (lambda), 0 to 1.
        n_labels: Labels behind it.
    """

    value: float
    interval: Interval
    label_weight: float
    n_labels: int


def labelled_mean(
    labels: Sequence[float],
    judged: Sequence[float],
    unlabelled: Sequence[float],
    *,
    value_range: float = 1.0,
    middle: float = 0.5,
    level: float = 0.95,
) -> LabelledMean | None:
    """Mean over all answers from random labels of some of them and a judge's scores of all.

    For a paired comparison give differences, arm minus the other, and 0 as their middle: of the labels, of the judge's
    scores of the same lines, and of its scores of the lines without labels.

    Below ``PLAIN_LABELS`` labels, or where the sparse guard is needed, two pseudo-answers join those with labels, one
    at the top of the range that the judge put at its bottom and one the other way round, and the quantile is that
    of t. The interval is never of zero width.

    Args:
        labels: What people say about the labelled answers.
        judged: The judge's scores of the same answers.
        unlabelled: The judge's scores of all other answers.
        value_range: Width of the range of the score, in its unit.
        middle: Middle of that range.
        level: Confidence level.

    Returns:
        ``None`` with fewer than ``MIN_LABELS`` labels or fewer than two answers without one.

    Source: Angelopoulos, Duchi and Zrnic (2023), PPI++, arXiv 2311.01453; pseudo-answers after Bonett and Price
    (2012), Statistics in Medicine 31:3433.

    Raises:
        ValueError: ``labels`` and ``judged`` differ in length, or ``value_range`` is not positive.
    """
    _check(labels, judged)
    if not value_range > 0.0:
        msg = f"the range of a score is positive, got {value_range}"
        raise ValueError(msg)
    if len(labels) < MIN_LABELS or len(unlabelled) < 2:
        return None
    weight = label_weight(labels, judged, unlabelled)
    missed = [label - weight * score for label, score in zip(labels, judged, strict=True)]
    n, rest = len(labels), len(unlabelled)
    base = weight * mean(unlabelled)
    if n >= PLAIN_LABELS and not needs_sparse_guard(missed):
        value, interval = _normal(base, missed, weight, unlabelled, level)
        return LabelledMean(value=value, interval=interval, label_weight=weight, n_labels=n)
    top, bottom = middle + value_range / 2.0, middle - value_range / 2.0
    missed += [top - weight * bottom, bottom - weight * top]
    noise = weight**2 * variance(unlabelled) / rest + variance(missed) / (n + 2)
    half = t_quantile((1.0 + level) / 2.0, n + 1) * sqrt(noise)
    value = base + mean(missed)
    interval = Interval(
        low=value - half, high=value + half, level=level, method="PPI++ t, two pseudo-answers"
    )
    return LabelledMean(value=value, interval=interval, label_weight=weight, n_labels=n)


def label_weight(labels: Sequence[float], judged: Sequence[float], unlabelled: Sequence[float]) -> float:
    """How much the judge's scores should count, 0 to 1: the weight with the least variance.

    Source: Angelopoulos, Duchi and Zrnic (2023), arXiv 2311.01453, section 6, for a mean.

    Raises:
        ValueError: ``labels`` and ``judged`` differ in length, or a side is empty.
    """
    _check(labels, judged)
    n, rest = len(labels), len(unlabelled)
    if n == 0 or rest == 0:
        msg = "a weight needs answers with and without labels"
        raise ValueError(msg)
    spread = variance([*judged, *unlabelled])
    if spread <= 0.0:
        return 0.0
    label_centre, judge_centre = mean(labels), mean(judged)
    shared = fsum((y - label_centre) * (f - judge_centre) for y, f in zip(labels, judged, strict=True)) / n
    return min(1.0, max(0.0, shared / ((1.0 + n / rest) * spread)))


def plain_labelled_mean(
    labels: Sequence[float],
    judged: Sequence[float],
    unlabelled: Sequence[float],
    *,
    weight: float | None = None,
    level: float = 0.95,
) -> LabelledMean:
    """The same by the normal approximation alone, whatever the number of labels, and for any weight.

    Source: Angelopoulos, Duchi and Zrnic (2023), arXiv 2311.01453; with weight 1 Angelopoulos, Bates, Fannjiang,
    Jordan and Zrnic (2023), Science 382:669.

    Raises:
        ValueError: ``labels`` and ``judged`` differ in length, or a side has fewer than two.
    """
    chosen = label_weight(labels, judged, unlabelled) if weight is None else weight
    missed = [label - chosen * score for label, score in zip(labels, judged, strict=True)]
    value, interval = _normal(chosen * mean(unlabelled), missed, chosen, unlabelled, level)
    return LabelledMean(value=value, interval=interval, label_weight=chosen, n_labels=len(labels))


def _normal(
    base: float, missed: Sequence[float], weight: float, unlabelled: Sequence[float], level: float
) -> tuple[float, Interval]:
    n, rest = len(missed), len(unlabelled)
    noise = weight**2 * variance(unlabelled) * (rest - 1) / rest**2 + variance(missed) * (n - 1) / n**2
    half = normal_quantile((1.0 + level) / 2.0) * sqrt(noise)
    value = base + mean(missed)
    return value, Interval(low=value - half, high=value + half, level=level, method="PPI++")


def _check(labels: Sequence[float], judged: Sequence[float]) -> None:
    if len(labels) != len(judged):
        msg = f"each label has a score of the judge, got {len(labels)} and {len(judged)}"
        raise ValueError(msg)

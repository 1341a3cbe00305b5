"""One arm against another on one metric: everything that is measured before a verdict is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from headrace.domain.comparison import Estimate, Interval, LineLoss
from headrace.domain.scores import ArmLines
from headrace.evaluation.line_scores import LineScores, SettledMetric, line_scores
from headrace.evaluation.stats.estimate import (
    TIE_TOLERANCE,
    bounded_difference_interval,
    difference_interval,
    guarded_differences,
    mean,
    variance,
)
from headrace.evaluation.stats.paired import (
    mcnemar_mid_p,
    probability_better,
    probability_mean_positive,
    sign_counts,
    sign_flip_p,
    tango_interval,
)
from headrace.evaluation.stats.power import (
    detectable_binary_difference,
    detectable_mean_difference,
    discordance_upper_bound,
    lines_for_binary_difference,
    lines_for_mean_difference,
    variance_upper_bound,
)

#: Losses listed per comparison.
WORST_LINES = 10

_MAX_PLANNED_LINES = 10_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """A paired difference, its test and its power: a ``PairedEffect`` before its verdict."""

    arm: str
    against: str
    difference: Estimate | None
    without_failed: Estimate | None
    p_raw: float | None
    method_p: str
    wins: int
    losses: int
    ties: int
    probability_better: float | None
    n_for_observed: int | None
    detectable: float | None
    worst_lines: tuple[LineLoss, ...]
    unmatched_arm: tuple[str, ...]
    unmatched_against: tuple[str, ...]
    unscored: tuple[str, ...]

    @property
    def n_pairs(self) -> int:
        """Lines with a usable score on both sides."""
        return self.wins + self.losses + self.ties


def measure_effect(
    arm: ArmLines,
    against: ArmLines,
    metric: SettledMetric,
    *,
    level: float,
    power_alpha: float,
    seed: int,
) -> Measurement:
    """Measure the paired difference "arm minus against" on one metric.

    Args:
        arm: The arm judged.
        against: The arm it is judged against.
        metric: The metric, its kind settled over all arms of the comparison.
        level: Confidence level of the interval.
        power_alpha: Two-sided error rate at which the power figures are stated.
        seed: Seed of the permutation draws.
    """
    ours = line_scores(arm, metric.spec.name, failed_count_as=metric.failed_count_as)
    theirs = line_scores(against, metric.spec.name, failed_count_as=metric.failed_count_as)
    by_line = _differences(ours, theirs)
    differences = list(by_line.values())
    gains = [_gain(difference, metric) for difference in differences]
    wins, losses, ties = sign_counts(gains)
    p_raw, method_p = _test(differences, metric, seed)
    return Measurement(
        arm=arm.arm,
        against=against.arm,
        difference=_estimate(differences, metric, level),
        without_failed=_without_failed(arm, against, metric, level),
        p_raw=p_raw,
        method_p=method_p,
        wins=wins,
        losses=losses,
        ties=ties,
        probability_better=_probability(gains, metric),
        n_for_observed=_lines_needed(differences, metric, power_alpha),
        detectable=_detectable(differences, metric, power_alpha),
        worst_lines=_worst_lines(by_line, metric),
        unmatched_arm=_only_in(arm, against),
        unmatched_against=_only_in(against, arm),
        unscored=_unscored(arm, against, by_line),
    )


def _differences(ours: LineScores, theirs: LineScores) -> dict[str, float]:
    return {
        line_id: value - theirs.values[line_id]
        for line_id, value in ours.values.items()
        if line_id in theirs.values
    }


def _gain(difference: float, metric: SettledMetric) -> float:
    return difference if metric.spec.direction == "higher" else -difference


def _interval(differences: Sequence[float], metric: SettledMetric, level: float) -> Interval | None:
    if metric.spec.kind == "binary":
        ups, downs, ties = sign_counts(differences)
        return tango_interval(ups, downs, ups + downs + ties, level=level)
    if metric.spec.kind == "graded":
        return bounded_difference_interval(differences, level=level)
    return difference_interval(differences, value_range=metric.value_range, level=level)


def _estimate(differences: Sequence[float], metric: SettledMetric, level: float) -> Estimate | None:
    if not differences:
        return None
    return Estimate(
        value=mean(differences),
        interval=_interval(differences, metric, level),
        n=len(differences),
    )


def _test(differences: Sequence[float], metric: SettledMetric, seed: int) -> tuple[float | None, str]:
    if metric.spec.kind == "binary":
        ups, downs, _ = sign_counts(differences)
        return (mcnemar_mid_p(ups, downs) if differences else None), "McNemar mid-p"
    # The mean is what the interval is about; a rank test would answer another question.
    return (sign_flip_p(differences, seed=seed) if differences else None), "sign-flip permutation"


def _probability(gains: Sequence[float], metric: SettledMetric) -> float | None:
    if not gains:
        return None
    if metric.spec.kind == "binary":
        wins, losses, _ = sign_counts(gains)
        return probability_better(wins, losses)
    return probability_mean_positive(gains, value_range=metric.value_range)


def _lines_needed(differences: Sequence[float], metric: SettledMetric, alpha: float) -> int | None:
    if not differences or abs(mean(differences)) <= TIE_TOLERANCE:
        return None
    observed = mean(differences)
    if metric.spec.kind == "binary":
        discordance = max(_discordance_bound(differences), abs(observed))
        lines = lines_for_binary_difference(observed, discordance, alpha=alpha)
    else:
        spread = _variance_bound(differences, metric)
        if spread is None:
            return None
        lines = lines_for_mean_difference(observed, spread, alpha=alpha)
    return min(ceil(lines), _MAX_PLANNED_LINES)


def _detectable(differences: Sequence[float], metric: SettledMetric, alpha: float) -> float | None:
    if not differences:
        return None
    if metric.spec.kind == "binary":
        bound = _discordance_bound(differences)
        return detectable_binary_difference(len(differences), bound, alpha=alpha)
    spread = _variance_bound(differences, metric)
    if spread is None:
        return None
    return detectable_mean_difference(len(differences), spread, alpha=alpha)


def _discordance_bound(differences: Sequence[float]) -> float:
    ups, downs, _ = sign_counts(differences)
    return discordance_upper_bound(ups + downs, len(differences))


def _variance_bound(differences: Sequence[float], metric: SettledMetric) -> float | None:
    guarded = guarded_differences(differences, metric.value_range)
    if len(guarded) < 2 or variance(guarded) == 0.0:
        return None
    return variance_upper_bound(variance(guarded), len(guarded))


def _without_failed(arm: ArmLines, against: ArmLines, metric: SettledMetric, level: float) -> Estimate | None:
    has_failed = any(
        observation.is_failed
        for side in (arm, against)
        for repeats in side.lines.values()
        for observation in repeats
    )
    if metric.failed_count_as is None or not has_failed:
        return None
    ours = line_scores(arm, metric.spec.name, failed_count_as=None)
    theirs = line_scores(against, metric.spec.name, failed_count_as=None)
    return _estimate(list(_differences(ours, theirs).values()), metric, level)


def _worst_lines(by_line: dict[str, float], metric: SettledMetric) -> tuple[LineLoss, ...]:
    losses = [
        LineLoss(line_id=line_id, loss=-_gain(difference, metric))
        for line_id, difference in by_line.items()
        if _gain(difference, metric) < -TIE_TOLERANCE
    ]
    losses.sort(key=lambda loss: -loss.loss)
    return tuple(losses[:WORST_LINES])


def _only_in(arm: ArmLines, other: ArmLines) -> tuple[str, ...]:
    return tuple(
        line_id for line_id, repeats in arm.lines.items() if repeats and not other.lines.get(line_id)
    )


def _unscored(arm: ArmLines, against: ArmLines, by_line: dict[str, float]) -> tuple[str, ...]:
    return tuple(
        line_id
        for line_id, repeats in arm.lines.items()
        if repeats and against.lines.get(line_id) and line_id not in by_line
    )

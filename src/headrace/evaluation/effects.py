"""One arm against another on one metric: everything that is measured before a verdict is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, fsum

from headrace.domain.comparison import Estimate, Interval, LineLoss, Spread
from headrace.evaluation.line_groups import Clusters
from headrace.evaluation.line_scores import LineScores, ScoreTable, SettledMetric
from headrace.evaluation.margin_tests import RawMarginTest, measure_margins
from headrace.evaluation.stats.clustered import (
    clustered_difference_interval,
    clustered_p,
    clustered_tango_interval,
    clustered_tango_p,
    design_effect,
)
from headrace.evaluation.stats.estimate import (
    TIE_TOLERANCE,
    bounded_difference_interval,
    difference_interval,
    guarded_differences,
    mean,
    variance,
)
from headrace.evaluation.stats.margins import superiority_p
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
from headrace.evaluation.stats.repeats import spread

#: Losses listed per comparison.
WORST_LINES = 10

_MAX_PLANNED_LINES = 10_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """A paired difference, its test and its power: a ``PairedEffect`` before its verdict.

    Attributes:
        margin_tests: Without the adjustment over the arms.
        n_clusters: Clusters that the pairs come from; ``None`` where lines stand for themselves.
    """

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
    worst_lines: tuple[LineLoss, ...] = ()
    unmatched_arm: tuple[str, ...] = ()
    unmatched_against: tuple[str, ...] = ()
    unscored: tuple[str, ...] = ()
    relative: float | None = None
    margin_tests: tuple[RawMarginTest, ...] = ()
    spread: Spread | None = None
    worst_case: tuple[float, float] | None = None
    n_clusters: int | None = None

    @property
    def n_pairs(self) -> int:
        """Lines with a usable score on both sides."""
        return self.wins + self.losses + self.ties


@dataclass(frozen=True, kw_only=True, slots=True)
class Yardstick:
    """How differences are measured.

    Attributes:
        metric: The metric, its kind settled over all arms of the comparison.
        alpha: Error rate; intervals have the level ``1 - alpha``.
        power_alpha: Two-sided error rate at which the power figures are stated.
        seed: Seed of the permutation draws.
        clusters: ``None`` where lines stand for themselves.
        has_spread: Whether the spread of the differences is measured; it is not in slices.
    """

    metric: SettledMetric
    alpha: float
    power_alpha: float
    seed: int
    clusters: Clusters | None = None
    has_spread: bool = True

    @property
    def level(self) -> float:
        """Level of the intervals."""
        return 1.0 - self.alpha


def measure_effect(arm: str, against: str, table: ScoreTable, yardstick: Yardstick) -> Measurement:
    """Measure the paired difference "arm minus against" on one metric."""
    metric = yardstick.metric
    ours, theirs = table.counted[arm], table.counted[against]
    by_line = paired_differences(ours, theirs)
    differences = list(by_line.values())
    clusters = yardstick.clusters.names(by_line) if yardstick.clusters else None
    gains = differences if metric.sign > 0.0 else [-difference for difference in differences]
    wins, losses, ties = sign_counts(gains)
    p_raw, method_p = difference_test(differences, yardstick, clusters)
    inflation = _inflation(differences, clusters)
    return Measurement(
        arm=arm,
        against=against,
        difference=_estimate(differences, yardstick, clusters),
        without_failed=_without_failed(arm, against, table, yardstick),
        p_raw=p_raw,
        method_p=method_p,
        wins=wins,
        losses=losses,
        ties=ties,
        probability_better=_probability(gains, metric, clusters),
        n_for_observed=_lines_needed(differences, metric, yardstick.power_alpha, inflation),
        detectable=_detectable(differences, metric, yardstick.power_alpha, inflation),
        worst_lines=_worst_lines(by_line, gains),
        unmatched_arm=_only_in(ours, theirs),
        unmatched_against=_only_in(theirs, ours),
        unscored=_unscored(ours, theirs, by_line),
        relative=_relative(by_line, theirs),
        margin_tests=measure_margins(gains, metric, clusters, yardstick.alpha),
        spread=spread([(ours.repeats[line], theirs.repeats[line]) for line in by_line])
        if yardstick.has_spread
        else None,
        worst_case=_worst_case(ours, theirs, metric),
        n_clusters=None if clusters is None else len(set(clusters)),
    )


def paired_differences(ours: LineScores, theirs: LineScores) -> dict[str, float]:
    """Arm minus against on every line that both score, in the order of the arm."""
    other = theirs.values
    return {line: value - other[line] for line, value in ours.values.items() if line in other}


def difference_interval_of(
    differences: Sequence[float], yardstick: Yardstick, clusters: Sequence[str] | None
) -> Interval | None:
    """Interval of a mean paired difference by the method that fits metric and lines."""
    metric, level = yardstick.metric, yardstick.level
    if clusters is not None:
        if metric.is_binary:
            return clustered_tango_interval(differences, clusters, level=level)
        return clustered_difference_interval(
            differences, clusters, value_range=metric.value_range, level=level
        )
    if metric.is_binary:
        ups, downs, ties = sign_counts(differences)
        return tango_interval(ups, downs, ups + downs + ties, level=level)
    if metric.spec.kind == "graded":
        return bounded_difference_interval(differences, value_range=metric.value_range, level=level)
    return difference_interval(differences, value_range=metric.value_range, level=level)


def difference_test(
    differences: Sequence[float], yardstick: Yardstick, clusters: Sequence[str] | None
) -> tuple[float | None, str]:
    """Two-sided p of "no difference" and the name of the test; ``None`` without pairs, or with too few clusters."""
    metric = yardstick.metric
    if clusters is not None and metric.is_binary:
        return (clustered_tango_p(differences, clusters) if differences else None), "clustered Tango score"
    if clusters is not None:
        return clustered_p(differences, clusters, value_range=metric.value_range), "CR2 t"
    if metric.is_binary:
        ups, downs, _ = sign_counts(differences)
        return (mcnemar_mid_p(ups, downs) if differences else None), "McNemar mid-p"
    # The mean is what the interval is about; a rank test would answer another question.
    return (sign_flip_p(differences, seed=yardstick.seed) if differences else None), "sign-flip permutation"


def _estimate(
    differences: Sequence[float], yardstick: Yardstick, clusters: Sequence[str] | None
) -> Estimate | None:
    if not differences:
        return None
    return Estimate(
        value=mean(differences),
        interval=difference_interval_of(differences, yardstick, clusters),
        n=len(differences),
    )


def _probability(
    gains: Sequence[float], metric: SettledMetric, clusters: Sequence[str] | None
) -> float | None:
    if not gains:
        return None
    if clusters is not None:
        found = superiority_p(
            gains, 0.0, is_binary=metric.is_binary, value_range=metric.value_range, clusters=clusters
        )
        return None if found is None else 1.0 - found.p
    if metric.is_binary:
        wins, losses, _ = sign_counts(gains)
        return probability_better(wins, losses)
    return probability_mean_positive(gains, value_range=metric.value_range)


def _inflation(differences: Sequence[float], clusters: Sequence[str] | None) -> float:
    """How many times more lines clustered ones must be."""
    if clusters is None or len(differences) < 2:
        return 1.0
    return max(1.0, design_effect(differences, clusters) or 1.0)


def _lines_needed(
    differences: Sequence[float], metric: SettledMetric, alpha: float, inflation: float
) -> int | None:
    if not differences or abs(mean(differences)) <= TIE_TOLERANCE:
        return None
    observed = mean(differences)
    if metric.is_binary:
        discordance = max(_discordance_bound(differences), abs(observed))
        lines = lines_for_binary_difference(observed, discordance, alpha=alpha)
    else:
        bound = _variance_bound(differences, metric)
        if bound is None:
            return None
        lines = lines_for_mean_difference(observed, bound, alpha=alpha)
    return min(ceil(lines * inflation), _MAX_PLANNED_LINES)


def _detectable(
    differences: Sequence[float], metric: SettledMetric, alpha: float, inflation: float
) -> float | None:
    if not differences:
        return None
    n = max(1, round(len(differences) / inflation))
    if metric.is_binary:
        return detectable_binary_difference(n, _discordance_bound(differences), alpha=alpha)
    bound = _variance_bound(differences, metric)
    return None if bound is None else detectable_mean_difference(n, bound, alpha=alpha)


def _discordance_bound(differences: Sequence[float]) -> float:
    ups, downs, _ = sign_counts(differences)
    return discordance_upper_bound(ups + downs, len(differences))


def _variance_bound(differences: Sequence[float], metric: SettledMetric) -> float | None:
    guarded = guarded_differences(differences, metric.value_range)
    if len(guarded) < 2:
        return None
    found = variance(guarded)
    return variance_upper_bound(found, len(guarded)) if found > 0.0 else None


def _without_failed(arm: str, against: str, table: ScoreTable, yardstick: Yardstick) -> Estimate | None:
    if arm not in table.without_failed and against not in table.without_failed:
        return None
    ours = table.without_failed.get(arm, table.counted[arm])
    theirs = table.without_failed.get(against, table.counted[against])
    by_line = paired_differences(ours, theirs)
    clusters = yardstick.clusters.names(by_line) if yardstick.clusters else None
    return _estimate(list(by_line.values()), yardstick, clusters)


def _worst_lines(lines: Iterable[str], gains: Sequence[float]) -> tuple[LineLoss, ...]:
    lost = [(line_id, -gain) for line_id, gain in zip(lines, gains, strict=True) if gain < -TIE_TOLERANCE]
    lost.sort(key=lambda pair: -pair[1])
    return tuple(LineLoss(line_id=line_id, loss=loss) for line_id, loss in lost[:WORST_LINES])


def _only_in(scores: LineScores, other: LineScores) -> tuple[str, ...]:
    if scores.repeats.keys() == other.repeats.keys():
        return ()
    return tuple(line_id for line_id in scores.repeats if line_id not in other.repeats)


def _unscored(ours: LineScores, theirs: LineScores, by_line: Mapping[str, float]) -> tuple[str, ...]:
    if not ours.missing and not theirs.missing:
        return ()
    return tuple(line_id for line_id in ours.repeats if line_id in theirs.repeats and line_id not in by_line)


def _relative(by_line: Mapping[str, float], theirs: LineScores) -> float | None:
    """The mean difference as a share of the size of the other arm's mean on the same lines, with its sign."""
    if not by_line:
        return None
    base = mean([theirs.values[line] for line in by_line])
    return mean(list(by_line.values())) / abs(base) if abs(base) > TIE_TOLERANCE else None


def _worst_case(ours: LineScores, theirs: LineScores, metric: SettledMetric) -> tuple[float, float] | None:
    """The difference over all lines of either arm with every missing score at one end of the range."""
    lines = dict.fromkeys((*ours.repeats, *theirs.repeats))
    if metric.spec.kind == "unbounded" or not metric.has_scores:
        return None
    if len(ours.values) == len(theirs.values) == len(lines):
        return None
    best = 1.0 if metric.sign > 0.0 else 0.0
    worst = 1.0 - best
    against = fsum(ours.values.get(line, worst) - theirs.values.get(line, best) for line in lines)
    in_favour = fsum(ours.values.get(line, best) - theirs.values.get(line, worst) for line in lines)
    return against / len(lines), in_favour / len(lines)

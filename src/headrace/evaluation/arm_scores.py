"""Every arm on one metric: its mean, what to expect of it after picking, and whether it may be the best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import fsum

from headrace.domain.comparison import ArmScore, Estimate, Interval, Tries
from headrace.evaluation.adjustment import Plan
from headrace.evaluation.line_groups import Clusters
from headrace.evaluation.line_scores import LineScores, ScoreTable, SettledMetric
from headrace.evaluation.stats.clustered import clustered_difference_interval, clustered_wilson_interval
from headrace.evaluation.stats.estimate import (
    bounded_mean_interval,
    mean,
    t_interval,
    wilson_interval,
)
from headrace.evaluation.stats.ranking import Shrunken, best_set_p, shrink
from headrace.evaluation.stats.repeats import pass_at_k, pass_hat_k
from headrace.evaluation.verdict import MIN_PAIRS


def score_arms(table: ScoreTable, plan: Plan, clusters: Clusters | None) -> tuple[ArmScore, ...]:
    """The score of every arm, in the order of the table, without a ranking."""
    k = _count_tries(table)
    return tuple(_score(arm, table, plan, clusters, k) for arm in table.counted)


def rank_scores(
    scores: Sequence[ArmScore], table: ScoreTable, plan: Plan, clusters: Clusters | None
) -> tuple[ArmScore, ...]:
    """The scores with what the arms say about each other: shrunken means, chances of being best, the best set.

    It is said over the lines that every arm with a score has, and not at all with fewer than two arms or too few lines
    for a verdict. An arm whose every execution failed has no part in it.
    """
    idle = {arm for arm, found in table.without_failed.items() if not found.values}
    scored = [arm for arm, found in table.counted.items() if found.values and arm not in idle]
    shared = _shared_lines([table.counted[arm] for arm in scored])
    if len(scored) < 2 or len(shared) < MIN_PAIRS:
        return tuple(scores)
    metric = table.metric
    matrix = [[metric.sign * table.counted[arm].values[line] for line in shared] for arm in scored]
    names = clusters.names(shared) if clusters else None
    chances = best_set_p(matrix, is_binary=metric.is_binary, value_range=metric.value_range, clusters=names)
    shrunken = shrink(matrix, clusters=names, level=plan.level, seed=plan.seed)
    places = {arm: place for place, arm in enumerate(scored)}
    return tuple(
        _ranked(score, places.get(score.arm), chances, shrunken, metric, plan, len(shared))
        for score in scores
    )


def _ranked(
    score: ArmScore,
    place: int | None,
    chances: Sequence[float | None],
    shrunken: Shrunken | None,
    metric: SettledMetric,
    plan: Plan,
    n_shared: int,
) -> ArmScore:
    if place is None:
        return score
    p = chances[place]
    return replace(
        score,
        shrunken=None if shrunken is None else _shrunken_estimate(shrunken, place, metric, n_shared),
        p_best=None if shrunken is None else shrunken.p_best[place],
        p_in_best_set=p,
        in_best_set=None if p is None else p > plan.alpha,
    )


def _shrunken_estimate(shrunken: Shrunken, place: int, metric: SettledMetric, n: int) -> Estimate:
    found = shrunken.intervals[place]
    if found is not None and metric.sign < 0.0:
        found = replace(found, low=-found.high, high=-found.low)
    if found is not None and metric.spec.kind != "unbounded":
        found = replace(found, low=max(0.0, found.low), high=min(1.0, found.high))
    return Estimate(value=metric.sign * shrunken.means[place], interval=found, n=n)


def _shared_lines(scores: Sequence[LineScores]) -> list[str]:
    """Lines that every arm has a value for, in the order of the first."""
    if not scores:
        return []
    others = scores[1:]
    return [line for line in scores[0].values if all(line in other.values for other in others)]


def _score(arm: str, table: ScoreTable, plan: Plan, clusters: Clusters | None, k: int | None) -> ArmScore:
    counted = table.counted[arm]
    without = table.without_failed.get(arm)
    return ArmScore(
        arm=arm,
        mean=_mean_estimate(counted.values, table.metric, plan.level, clusters),
        n_missing=len(counted.missing),
        n_failed_counted=counted.n_failed_counted,
        without_failed=None
        if without is None
        else _mean_estimate(without.values, table.metric, plan.level, clusters),
        tries=None if k is None else _tries(counted, table.metric, k),
    )


def _count_tries(table: ScoreTable) -> int | None:
    """Answers that every line with a score has, whatever the arm; ``None`` for one, and where not all pass or fail."""
    if table.metric.spec.kind == "unbounded":
        return None
    lines = [found for scores in table.counted.values() for found in scores.repeats.values() if found]
    k = min(map(len, lines), default=0)
    is_judged = k > 1 and all(score in (0.0, 1.0) for found in lines for score in found)
    return k if is_judged else None


def _tries(scores: LineScores, metric: SettledMetric, k: int) -> Tries | None:
    passed = max(0.0, metric.sign)
    counts = Counter((found.count(passed), len(found)) for found in scores.repeats.values() if found)
    n = counts.total()
    if not n:
        return None
    return Tries(
        k=k,
        pass_at_k=fsum(times * pass_at_k(*line, k) for line, times in counts.items()) / n,
        pass_hat_k=fsum(times * pass_hat_k(*line, k) for line, times in counts.items()) / n,
    )


def _mean_estimate(
    by_line: Mapping[str, float], metric: SettledMetric, level: float, clusters: Clusters | None
) -> Estimate | None:
    if not by_line:
        return None
    values = list(by_line.values())
    if clusters is None:
        interval = _mean_interval(values, metric, level)
    elif metric.spec.kind == "unbounded":
        names = clusters.names(by_line)
        interval = clustered_difference_interval(values, names, value_range=0.0, level=level)
    else:
        interval = clustered_wilson_interval(
            values, clusters.names(by_line), level=level, is_fitted_to_sizes=True
        )
    return Estimate(value=mean(values), interval=interval, n=len(values))


def _mean_interval(values: Sequence[float], metric: SettledMetric, level: float) -> Interval | None:
    if metric.is_binary:
        return wilson_interval(round(sum(values)), len(values), level=level)
    if metric.spec.kind == "graded":
        return bounded_mean_interval(values, level=level)
    return t_interval(values, level=level)

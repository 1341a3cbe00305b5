"""Compare arms over the same lines: one estimate, interval, p and verdict per arm and metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from math import inf
from types import MappingProxyType

from headrace.domain.comparison import (
    ArmScore,
    ArmSummary,
    Comparison,
    Estimate,
    Family,
    Interval,
    JudgeQuality,
    MetricComparison,
    PairedEffect,
    Provenance,
)
from headrace.domain.scores import ArmLines, HumanLabel, LineFacts, MetricSpec
from headrace.evaluation.arm_summary import has_only_failures, summarise_arm
from headrace.evaluation.caveats import find_caveats
from headrace.evaluation.effects import Measurement, measure_effect
from headrace.evaluation.line_scores import SettledMetric, line_scores, settle_metric
from headrace.evaluation.recommendation import rank_arms
from headrace.evaluation.stats.estimate import (
    bounded_mean_interval,
    mean,
    t_interval,
    wilson_interval,
)
from headrace.evaluation.stats.multiple import benjamini_hochberg, holm
from headrace.evaluation.verdict import judge

_ADJUSTMENTS: Mapping[str, tuple[str, Callable[[Sequence[float]], list[float]]]] = {
    "baseline": ("Holm", holm),
    "exploratory": ("Benjamini-Hochberg", benjamini_hochberg),
    "none": ("none", list),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    alpha: float
    family: Family
    seed: int

    @property
    def level(self) -> float:
        return 1.0 - self.alpha

    def power_alpha(self, n_comparisons: int) -> float:
        # Power is stated for the strictest step of the adjustment, so as not to promise too soon.
        return self.alpha if self.family == "none" else self.alpha / max(1, n_comparisons)


def compare(
    arms: Sequence[ArmLines],
    *,
    baseline: str,
    metrics: Sequence[MetricSpec],
    alpha: float = 0.05,
    family: Family = "baseline",
    seed: int = 0,
    facts: Mapping[str, LineFacts] = MappingProxyType({}),
    labels: Sequence[HumanLabel] = (),
    judges: Mapping[str, JudgeQuality] = MappingProxyType({}),
) -> Comparison:
    """Compare every arm with the baseline, line by line, on every metric.

    Lines are paired by id. Repeats of a line are averaged first. A failed execution counts as the
    worst value of a bounded metric and is left out of an unbounded one; each estimate without the
    failed ones is given as well. Intervals have level ``1 - alpha`` and are not adjusted; p is
    adjusted over the arms within each metric.

    Args:
        arms: Observations of each arm; their order is kept.
        baseline: Name of the arm that the others are judged against.
        metrics: What to compare; the first metric is the one that decides.
        alpha: Error rate of the family of verdicts.
        family: "baseline" adjusts with Holm, "exploratory" with Benjamini-Hochberg, "none" not.
        seed: Seed of the permutation draws.
        facts: Cluster and slices per line id.
        labels: What people say about answers, in the unit of the metrics.
        judges: Per metric that a model gives: how far its scores can be trusted.

    Raises:
        ValueError: An arm appears twice, the baseline is not among the arms, a metric appears
            twice, ``alpha`` is not between 0 and 1, a margin is not positive, or ``family`` is
            unknown.
    """
    _check_request(arms, baseline, metrics, alpha, family)
    plan = _Plan(alpha=alpha, family=family, seed=seed)
    baseline_arm = next(arm for arm in arms if arm.arm == baseline)
    summaries = {arm.arm: summarise_arm(arm, baseline_arm, level=plan.level) for arm in arms}
    settled = [settle_metric(spec, arms) for spec in metrics]
    compared = tuple(_compare_metric(metric, arms, summaries, baseline_arm, plan) for metric in settled)
    return Comparison(
        baseline=baseline,
        arms=tuple(summaries.values()),
        metrics=compared,
        warnings=find_caveats(arms, settled, compared),
        provenance=Provenance(
            seed=seed,
            alpha=alpha,
            family=family,
            adjustment=_ADJUSTMENTS[family][0],
            methods=_method_names(tuple(summaries.values()), compared),
        ),
    )


def _check_request(
    arms: Sequence[ArmLines],
    baseline: str,
    metrics: Sequence[MetricSpec],
    alpha: float,
    family: str,
) -> None:
    names = [arm.arm for arm in arms]
    metric_names = [spec.name for spec in metrics]
    margins = [spec.margin for spec in metrics if spec.margin is not None]
    complaints = {
        "an arm appears twice": len(set(names)) < len(names),
        f"the baseline {baseline} is not among the arms": baseline not in names,
        "a metric appears twice": len(set(metric_names)) < len(metric_names),
        f"alpha lies between 0 and 1, not at {alpha}": not 0.0 < alpha < 1.0,
        "a margin is a positive number": not all(0.0 < margin < inf for margin in margins),
        f"the family is one of {', '.join(_ADJUSTMENTS)}": family not in _ADJUSTMENTS,
    }
    for complaint, is_true in complaints.items():
        if is_true:
            raise ValueError(complaint)


def _compare_metric(
    metric: SettledMetric,
    arms: Sequence[ArmLines],
    summaries: Mapping[str, ArmSummary],
    baseline: ArmLines,
    plan: _Plan,
) -> MetricComparison:
    others = [arm for arm in arms if arm.arm != baseline.arm]
    measured = [
        measure_effect(
            arm,
            baseline,
            metric,
            level=plan.level,
            power_alpha=plan.power_alpha(len(others)),
            seed=plan.seed,
        )
        for arm in others
    ]
    has_failed_baseline = has_only_failures(baseline)
    effects = tuple(
        _judged(measurement, metric, p_adjusted, plan.alpha, has_failed_baseline)
        for measurement, p_adjusted in zip(measured, _adjust(measured, plan.family), strict=True)
    )
    scores = tuple(_score(arm, metric, plan.level) for arm in arms)
    better = [effect.arm for effect in effects if effect.verdict.word == "better"]
    ranked = rank_arms(better, metric.spec, scores, summaries)
    return MetricComparison(
        spec=metric.spec,
        scores=scores,
        effects=effects,
        leaders=_compare_leaders(ranked, arms, metric, plan),
        failed_count_as=metric.failed_count_as,
    )


def _adjust(measured: Sequence[Measurement], family: Family) -> list[float | None]:
    _, adjust = _ADJUSTMENTS[family]
    adjusted = iter(adjust([m.p_raw for m in measured if m.p_raw is not None]))
    return [None if m.p_raw is None else next(adjusted) for m in measured]


def _compare_leaders(
    ranked: Sequence[str], arms: Sequence[ArmLines], metric: SettledMetric, plan: _Plan
) -> PairedEffect | None:
    """The best arm against the runner-up; p is multiplied by the arms it was picked from."""
    if len(ranked) < 2:
        return None
    best, runner_up = (next(arm for arm in arms if arm.arm == name) for name in ranked[:2])
    n_rivals = len(ranked) - 1
    measurement = measure_effect(
        best,
        runner_up,
        metric,
        level=plan.level,
        power_alpha=plan.alpha / n_rivals,
        seed=plan.seed,
    )
    p_raw = measurement.p_raw
    p_adjusted = None if p_raw is None else min(1.0, p_raw * n_rivals)
    return _judged(measurement, metric, p_adjusted, plan.alpha, has_failed_baseline=False)


def _judged(
    measurement: Measurement,
    metric: SettledMetric,
    p_adjusted: float | None,
    alpha: float,
    has_failed_baseline: bool,  # noqa: FBT001 - data about the baseline, not a switch
) -> PairedEffect:
    verdict = judge(
        measurement,
        metric,
        p_adjusted=p_adjusted,
        alpha=alpha,
        has_failed_baseline=has_failed_baseline,
    )
    return PairedEffect(
        n_pairs=measurement.n_pairs,
        p_adjusted=p_adjusted,
        verdict=verdict,
        **{field.name: getattr(measurement, field.name) for field in fields(measurement)},
    )


def _score(arm: ArmLines, metric: SettledMetric, level: float) -> ArmScore:
    counted = line_scores(arm, metric.spec.name, failed_count_as=metric.failed_count_as)
    without_failed = None
    if counted.n_failed_counted:
        left = line_scores(arm, metric.spec.name, failed_count_as=None)
        without_failed = _mean_estimate(list(left.values.values()), metric, level)
    return ArmScore(
        arm=arm.arm,
        mean=_mean_estimate(list(counted.values.values()), metric, level),
        n_missing=len(counted.missing),
        n_failed_counted=counted.n_failed_counted,
        without_failed=without_failed,
    )


def _mean_estimate(values: Sequence[float], metric: SettledMetric, level: float) -> Estimate | None:
    if not values:
        return None
    return Estimate(value=mean(values), interval=_mean_interval(values, metric, level), n=len(values))


def _mean_interval(values: Sequence[float], metric: SettledMetric, level: float) -> Interval | None:
    if metric.spec.kind == "binary":
        return wilson_interval(round(sum(values)), len(values), level=level)
    if metric.spec.kind == "graded":
        return bounded_mean_interval(values, level=level)
    return t_interval(values, level=level)


def _method_names(summaries: Sequence[ArmSummary], compared: Sequence[MetricComparison]) -> tuple[str, ...]:
    estimates: list[Estimate | None] = []
    names: set[str] = set()
    for summary in summaries:
        estimates += [summary.latency_p50_ms, summary.latency_p95_ms]
        estimates += [summary.latency_ratio, summary.cost_ratio, summary.token_ratio]
    for metric in compared:
        estimates += [score.mean for score in metric.scores]
        estimates += [effect.difference for effect in metric.effects]
        names |= {effect.method_p for effect in metric.effects if effect.p_raw is not None}
    intervals = [e.interval for e in estimates if e is not None and e.interval is not None]
    return tuple(sorted(names | {interval.method for interval in intervals}))

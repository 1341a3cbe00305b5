"""Every arm on one metric: scores, differences to the baseline, verdicts, slices and interaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from headrace.domain.comparison import (
    ArmScore,
    ArmSummary,
    JudgeQuality,
    MarginTest,
    MetricComparison,
    PairedEffect,
    Slice,
)
from headrace.domain.scores import ArmLines
from headrace.evaluation.adjustment import Plan
from headrace.evaluation.arm_scores import rank_scores, score_arms
from headrace.evaluation.arm_summary import has_only_failures
from headrace.evaluation.corrected import MetricLabels, correct_effects, correct_scores
from headrace.evaluation.effects import Measurement, Yardstick, measure_effect
from headrace.evaluation.interaction import measure_interaction
from headrace.evaluation.line_groups import LineGroups
from headrace.evaluation.line_scores import ScoreTable
from headrace.evaluation.main_effects import measure_main_effects
from headrace.evaluation.margin_tests import settle_margin
from headrace.evaluation.recommendation import rank_arms
from headrace.evaluation.stats.clustered import design_effect, intraclass_correlation
from headrace.evaluation.verdict import judge

_COPIED = tuple(
    field.name for field in fields(Measurement) if field.name not in ("margin_tests", "n_clusters")
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Contest:
    """What the metrics of one comparison share.

    Attributes:
        summaries: By arm, in the order of the comparison.
    """

    arms: Sequence[ArmLines]
    baseline: ArmLines
    summaries: Mapping[str, ArmSummary]
    groups: LineGroups
    plan: Plan

    @property
    def others(self) -> list[str]:
        """The arms that are not the baseline."""
        return [arm.arm for arm in self.arms if arm.arm != self.baseline.arm]


def compare_metric(
    table: ScoreTable, contest: Contest, labels: MetricLabels, judge_quality: JudgeQuality | None = None
) -> MetricComparison:
    """Compare every arm with the baseline on one metric.

    Labels correct nothing where lines come in clusters: the interval would take them for independent.
    """
    plan, clusters = contest.plan, contest.groups.clusters
    yardstick = _yardstick(table, contest, len(contest.others))
    effects = _measure_all(table, contest, yardstick)
    scores = rank_scores(score_arms(table, plan, clusters), table, plan, clusters)
    if clusters is None:
        scores = correct_scores(scores, table, labels, plan.level)
        effects = correct_effects(effects, table, labels, plan.level)
    means = _line_means(table)
    names = clusters.names(means) if clusters else None
    return MetricComparison(
        spec=table.metric.spec,
        scores=scores,
        effects=effects,
        leaders=_compare_leaders(effects, scores, table, contest),
        failed_count_as=table.metric.failed_count_as,
        n_lines=len(means),
        repeats=max(
            (len(found) for arm in table.counted.values() for found in arm.repeats.values()), default=1
        ),
        n_clusters=None if names is None else len(set(names)),
        intraclass_correlation=None if names is None else intraclass_correlation(list(means.values()), names),
        design_effect=None if names is None else design_effect(list(means.values()), names),
        slices=_compare_slices(table, contest),
        main_effects=measure_main_effects(contest.arms, contest.baseline, table, yardstick, plan),
        interaction=measure_interaction(contest.arms, contest.baseline, table, yardstick, plan),
        judge=judge_quality,
    )


def _yardstick(table: ScoreTable, contest: Contest, n_comparisons: int) -> Yardstick:
    return Yardstick(
        metric=table.metric,
        alpha=contest.plan.alpha,
        power_alpha=contest.plan.power_alpha(n_comparisons),
        seed=contest.plan.seed,
        clusters=contest.groups.clusters,
    )


def _line_means(table: ScoreTable) -> dict[str, float]:
    """The mean score of each line over the arms that have it."""
    found: dict[str, list[float]] = {}
    for scores in table.counted.values():
        for line, value in scores.values.items():
            found.setdefault(line, []).append(value)
    return {line: sum(values) / len(values) for line, values in found.items()}


def _measure_all(table: ScoreTable, contest: Contest, yardstick: Yardstick) -> tuple[PairedEffect, ...]:
    measured = [measure_effect(arm, contest.baseline.arm, table, yardstick) for arm in contest.others]
    return _judge_all(measured, table, contest)


def _judge_all(
    measured: Sequence[Measurement], table: ScoreTable, contest: Contest
) -> tuple[PairedEffect, ...]:
    """Verdicts on measurements that are adjusted together."""
    plan = contest.plan
    adjusted = plan.adjust([measurement.p_raw for measurement in measured])
    margins = _settle_margins(measured, table, plan)
    has_failed_baseline = has_only_failures(contest.baseline)
    return tuple(
        _judged(measurement, table, p, tests, plan, has_failed_baseline=has_failed_baseline)
        for measurement, p, tests in zip(measured, adjusted, margins, strict=True)
    )


def _settle_margins(
    measured: Sequence[Measurement], table: ScoreTable, plan: Plan
) -> list[tuple[MarginTest, ...]]:
    """Each question is adjusted over the measurements, as the p of the difference is."""
    n_questions = max((len(measurement.margin_tests) for measurement in measured), default=0)
    settled: list[list[MarginTest]] = [[] for _ in measured]
    for question in range(n_questions):
        raw = [measurement.margin_tests[question] for measurement in measured]
        adjusted = plan.adjust([test.p_raw for test in raw])
        for tests, test, p in zip(settled, raw, adjusted, strict=True):
            tests.append(settle_margin(test, p, sign=table.metric.sign, alpha=plan.alpha))
    return [tuple(tests) for tests in settled]


def _judged(
    measurement: Measurement,
    table: ScoreTable,
    p_adjusted: float | None,
    margin_tests: tuple[MarginTest, ...],
    plan: Plan,
    *,
    has_failed_baseline: bool,
) -> PairedEffect:
    verdict = judge(
        measurement,
        table.metric,
        p_adjusted=p_adjusted,
        alpha=plan.alpha,
        margin_tests=margin_tests,
        has_failed_baseline=has_failed_baseline,
        is_adjusted=plan.family != "none",
    )
    return PairedEffect(
        n_pairs=measurement.n_pairs,
        p_adjusted=p_adjusted,
        verdict=verdict,
        margin_tests=margin_tests,
        **{name: getattr(measurement, name) for name in _COPIED},
    )


def _compare_leaders(
    effects: Sequence[PairedEffect], scores: Sequence[ArmScore], table: ScoreTable, contest: Contest
) -> PairedEffect | None:
    """The best arm against the runner-up; p is multiplied by the arms it was picked from."""
    better = [effect.arm for effect in effects if effect.verdict.word == "better"]
    if len(better) < 2:
        return None
    best, runner_up = rank_arms(better, table.metric.spec, scores, contest.summaries)[:2]
    n_rivals = len(better) - 1
    yardstick = replace(_yardstick(table, contest, 1), power_alpha=contest.plan.alpha / n_rivals)
    measurement = measure_effect(best, runner_up, table, yardstick)
    p_raw = measurement.p_raw
    p_adjusted = None if p_raw is None else min(1.0, p_raw * n_rivals)
    (margins,) = _settle_margins([measurement], table, contest.plan)
    return _judged(measurement, table, p_adjusted, margins, contest.plan, has_failed_baseline=False)


def _compare_slices(table: ScoreTable, contest: Contest) -> tuple[Slice, ...]:
    """The same for the lines of each slice; p is adjusted over all slices and arms together."""
    slices = contest.groups.slices
    n_comparisons = len(slices) * len(contest.others)
    yardstick = replace(_yardstick(table, contest, n_comparisons), has_spread=False)
    parts = {key: table.among(lines) for key, lines in slices.items()}
    measured = [
        measure_effect(arm, contest.baseline.arm, part, yardstick)
        for part in parts.values()
        for arm in contest.others
    ]
    effects = iter(_judge_all(measured, table, contest))
    return tuple(
        Slice(
            column=column,
            value=value,
            n_lines=len(_line_means(part)),
            scores=score_arms(part, contest.plan, contest.groups.clusters),
            effects=tuple(next(effects) for _ in contest.others),
        )
        for (column, value), part in parts.items()
    )

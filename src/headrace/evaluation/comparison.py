"""Compare arms over the same lines: one estimate, interval, p and verdict per arm and metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from types import MappingProxyType

from headrace.domain.comparison import (
    Comparison,
    Family,
    JudgeQuality,
)
from headrace.domain.scores import ArmLines, HumanLabel, LineFacts, MetricSpec
from headrace.evaluation.adjustment import ADJUSTMENTS, Plan
from headrace.evaluation.arm_summary import summarise_arm
from headrace.evaluation.caveats import find_caveats
from headrace.evaluation.corrected import gather_labels
from headrace.evaluation.guardrails import guarded_metrics
from headrace.evaluation.line_groups import group_lines
from headrace.evaluation.line_scores import score_table
from headrace.evaluation.metric_comparison import Contest, compare_metric
from headrace.evaluation.provenance import make_provenance


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
    guardrails: Sequence[MetricSpec] = (),
) -> Comparison:
    """Compare every arm with the baseline, line by line, on every metric.

    Lines are paired by id. Repeats of a line are averaged first. A failed execution counts as the
    worst value of a bounded metric and is left out of an unbounded one; each estimate without the
    failed ones is given as well. Intervals have level ``1 - alpha`` and are not adjusted; p is
    adjusted over the arms within each metric, and that of slices over all slices and arms. Lines of
    one cluster are not taken for independent, and with fewer than five clusters nothing is judged.

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
        guardrails: Metrics with margins on which an arm must not be worse to be shipped.

    Raises:
        ValueError: An arm appears twice, the baseline is not among the arms, a metric appears
            twice, ``alpha`` is not between 0 and 1, a margin is not positive, a goal lacks its
            margin, a guardrail has no margin, or ``family`` is unknown.
    """
    metrics = guarded_metrics(metrics, {spec.name: spec for spec in guardrails})
    _check_request(arms, baseline, metrics, alpha, family, guardrails)
    plan = Plan(alpha=alpha, family=family, seed=seed)
    baseline_arm = next(arm for arm in arms if arm.arm == baseline)
    summaries = {arm.arm: summarise_arm(arm, baseline_arm, level=plan.level) for arm in arms}
    groups = group_lines(arms, facts)
    contest = Contest(arms=arms, baseline=baseline_arm, summaries=summaries, groups=groups, plan=plan)
    tables = [score_table(spec, arms) for spec in metrics]
    gathered = [gather_labels(labels, table) for table in tables]
    compared = tuple(
        compare_metric(table, contest, said, judges.get(table.metric.spec.name))
        for table, said in zip(tables, gathered, strict=True)
    )
    return Comparison(
        baseline=baseline,
        arms=tuple(summaries.values()),
        metrics=compared,
        warnings=find_caveats(arms, groups, tables, gathered, compared),
        provenance=make_provenance(arms, tuple(summaries.values()), compared, plan),
        guardrails=tuple(spec.name for spec in guardrails),
    )


def _check_request(
    arms: Sequence[ArmLines],
    baseline: str,
    metrics: Sequence[MetricSpec],
    alpha: float,
    family: str,
    guardrails: Sequence[MetricSpec],
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
        "a goal other than superiority needs a margin": any(
            spec.goal != "superiority" and spec.margin is None for spec in metrics
        ),
        "a guardrail needs a margin": any(
            spec.margin is None for spec in metrics if spec.name in {item.name for item in guardrails}
        ),
        f"the family is one of {', '.join(ADJUSTMENTS)}": family not in ADJUSTMENTS,
    }
    for complaint, is_true in complaints.items():
        if is_true:
            raise ValueError(complaint)

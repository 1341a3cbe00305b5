"""How the numbers of a comparison were made, so that they can be made again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headrace.domain.comparison import (
    ArmScore,
    ArmSummary,
    Estimate,
    MetricComparison,
    PairedEffect,
    Provenance,
)
from headrace.domain.scores import ArmLines
from headrace.evaluation.adjustment import ADJUSTMENTS, Plan
from headrace.evaluation.data_digest import data_digest


def make_provenance(
    arms: Sequence[ArmLines],
    summaries: Sequence[ArmSummary],
    compared: Sequence[MetricComparison],
    plan: Plan,
) -> Provenance:
    """Settings, methods and a digest of the data."""
    return Provenance(
        seed=plan.seed,
        alpha=plan.alpha,
        family=plan.family,
        adjustment=ADJUSTMENTS[plan.family][0],
        methods=tuple(sorted(set(_method_names(summaries, compared)))),
        data_digest=data_digest(arms, [metric.spec.name for metric in compared]),
    )


def _method_names(summaries: Sequence[ArmSummary], compared: Sequence[MetricComparison]) -> Iterator[str]:
    for summary in summaries:
        for estimate in (summary.latency_p50_ms, summary.latency_p95_ms):
            yield from _interval_name(estimate)
        for estimate in (summary.latency_ratio, summary.cost_ratio, summary.token_ratio):
            yield from _interval_name(estimate)
    for metric in compared:
        leaders = () if metric.leaders is None else (metric.leaders,)
        yield from _score_names(metric.scores)
        yield from _effect_names((*metric.effects, *leaders))
        for part in metric.slices:
            yield from _score_names(part.scores)
            yield from _effect_names(part.effects)
        yield from (name for effect in metric.main_effects for name in _interval_name(effect.difference))
        for effect in metric.interaction:
            yield from _interval_name(effect.difference)


def _score_names(scores: Sequence[ArmScore]) -> Iterator[str]:
    for score in scores:
        for estimate in (score.mean, score.without_failed, score.shrunken, score.corrected):
            yield from _interval_name(estimate)
        if score.p_in_best_set is not None:
            yield "best set"
        if score.tries is not None:
            yield "pass@k and pass^k"


def _effect_names(effects: Sequence[PairedEffect]) -> Iterator[str]:
    for effect in effects:
        for estimate in (effect.difference, effect.without_failed, effect.corrected):
            yield from _interval_name(estimate)
        if effect.p_raw is not None:
            yield effect.method_p
        if any(test.p_raw is not None for test in effect.margin_tests):
            yield "margin tests"


def _interval_name(estimate: Estimate | None) -> Iterator[str]:
    if estimate is not None and estimate.interval is not None:
        yield estimate.interval.method

"""The rows of the comparison table, as words: shared by every report."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.domain.comparison import (
    ArmScore,
    ArmSummary,
    Comparison,
    Estimate,
    MetricComparison,
    PairedEffect,
    Recommendation,
)
from headrace.domain.report import SampleOutput
from headrace.evaluation import wording

#: Stands where a number is not known.
UNKNOWN = "\N{EM DASH}"

MARKS = {
    "better": "\N{BLACK UP-POINTING TRIANGLE}",
    "worse": "\N{BLACK DOWN-POINTING TRIANGLE}",
    "equivalent": "=",
    "inconclusive": "?",
}
"""A mark for every verdict, so that colour is never its only carrier."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A value and the smaller note under it."""

    value: str
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class BoardRow:
    """One arm on one metric, ready to print.

    Attributes:
        verdict: Verdict word, or "baseline".
        reason: Why; empty for the baseline.
    """

    arm: str
    is_baseline: bool
    score: Cell
    difference: Cell
    p: Cell
    verdict: str
    reason: str
    tokens: Cell
    cost: Cell
    p50: Cell
    p95: Cell
    failed: Cell


def board_rows(comparison: Comparison, metric: MetricComparison) -> tuple[BoardRow, ...]:
    """One row per arm, in the order of the comparison."""
    return tuple(
        _row(summary, metric.score_of(summary.arm), metric.effect_of(summary.arm))
        for summary in comparison.arms
    )


def rank_for_reading(metric: MetricComparison, baseline: str) -> list[str]:
    """Arms by mean, best first, in the direction of the metric; arms without a score last."""
    sign = -1.0 if metric.spec.direction == "higher" else 1.0

    def key(score: ArmScore) -> tuple[bool, float, bool]:
        value = 0.0 if score.mean is None else sign * score.mean.value
        return score.mean is None, value, score.arm != baseline

    return [score.arm for score in sorted(metric.scores, key=key)]


def shown_arm(comparison: Comparison, recommendation: Recommendation) -> str:
    """The arm that is shown against the baseline: the recommended one, else the best of the others."""
    if recommendation.arm is not None and recommendation.arm != comparison.baseline:
        return recommendation.arm
    metric = comparison.primary
    ranked = (
        [arm.arm for arm in comparison.arms]
        if metric is None
        else rank_for_reading(metric, comparison.baseline)
    )
    return next((arm for arm in ranked if arm != comparison.baseline), comparison.baseline)


def metric_title(metric: MetricComparison) -> str:
    """The name of a metric, and where less is better that it is so."""
    return metric.spec.name if metric.spec.direction == "higher" else f"{metric.spec.name} (low is good)"


def p_head(comparison: Comparison) -> str:
    """The head of a column of p."""
    name = wording.p_name(comparison.provenance.family)
    return name if name == "p" else name.capitalize()


def interval_level(comparison: Comparison) -> str:
    """The level of the intervals, e.g. "95%"."""
    return f"{(1.0 - comparison.provenance.alpha) * 100:g}%"


def has_usual_factors(metric: MetricComparison) -> bool:
    """Whether its interactions are those of variants with models, and not of other factors."""
    return all(item.factors == ("variant", "model") for item in metric.interaction)


def interaction_title(metric: MetricComparison) -> str:
    """What the interactions of a metric are about."""
    return "Variants and models" if has_usual_factors(metric) else "Factors together"


def interaction_heads(comparison: Comparison, metric: MetricComparison) -> tuple[str, str, str, str]:
    """The heads of a table of interactions."""
    levels = ("Variant", "Model") if has_usual_factors(metric) else ("Level", "With")
    return (*levels, "Extra gain", p_head(comparison))


def per_line(total: float, summary: ArmSummary) -> float | None:
    """A total divided by the executions of the arm; ``None`` without any."""
    return total / summary.n_observations if summary.n_observations else None


def signed_estimate(estimate: Estimate) -> str:
    """A difference with its interval in parentheses."""
    value = wording.signed(estimate.value)
    return value if estimate.interval is None else f"{value} ({wording.span(estimate.interval)})"


def shown_score(output: SampleOutput) -> str:
    """The score that decides, of an answer that is shown; empty where there is none."""
    first = next(iter(output.scores.values()), None)
    return "" if first is None or first.value is None else wording.number(first.value)


def _row(summary: ArmSummary, score: ArmScore, effect: PairedEffect | None) -> BoardRow:
    return BoardRow(
        arm=summary.arm,
        is_baseline=effect is None,
        score=_score(score),
        difference=Cell(value=UNKNOWN)
        if effect is None
        else difference_cell(effect.difference, "no paired line"),
        p=Cell(value=UNKNOWN if effect is None else known_p(effect.p_adjusted)),
        verdict="baseline" if effect is None else effect.verdict.word,
        reason="" if effect is None else effect.verdict.reason,
        tokens=_tokens(summary),
        cost=_cost(summary),
        p50=_latency(summary.latency_p50_ms, summary.latency_ratio),
        p95=_latency(summary.latency_p95_ms, None),
        failed=_failed(summary),
    )


def _score(score: ArmScore) -> Cell:
    if score.mean is None:
        return Cell(value=UNKNOWN, note="no score")
    return Cell(value=wording.number(score.mean.value), note=plain_span(score.mean))


def plain_span(estimate: Estimate | None) -> str:
    """An interval as "low to high", without signs; empty where there is none."""
    if estimate is None or estimate.interval is None:
        return ""
    return f"{wording.number(estimate.interval.low)} to {wording.number(estimate.interval.high)}"


def difference_cell(difference: Estimate | None, missing: str = "") -> Cell:
    """A difference with its interval below it; ``missing`` says why there is none."""
    if difference is None:
        return Cell(value=UNKNOWN, note=missing)
    interval = difference.interval
    return Cell(
        value=wording.signed(difference.value), note="" if interval is None else wording.span(interval)
    )


def known_p(p: float | None) -> str:
    """A p value, where there is one."""
    return UNKNOWN if p is None else wording.p_value(p)


def _tokens(summary: ArmSummary) -> Cell:
    if not summary.total_tokens:
        return Cell(value=UNKNOWN)
    each = per_line(summary.total_tokens, summary)
    note = "" if each is None else f"{each:,.0f} per line"
    return Cell(value=f"{summary.total_tokens:,}", note=note)


def _cost(summary: ArmSummary) -> Cell:
    if summary.cost_usd is None:
        return Cell(value=UNKNOWN, note="no price")
    return Cell(value=wording.cost(summary.cost_usd), note=_times(summary.cost_ratio))


def _latency(latency: Estimate | None, ratio: Estimate | None) -> Cell:
    if latency is None:
        return Cell(value=UNKNOWN)
    return Cell(value=wording.duration(latency.value), note=_times(ratio))


def _times(ratio: Estimate | None) -> str:
    return "" if ratio is None else f"{ratio.value:.2f}\N{MULTIPLICATION SIGN}"


def _failed(summary: ArmSummary) -> Cell:
    return Cell(value=f"{summary.n_failed:,}", note=f"of {summary.n_observations:,}")

"""Which arm to ship, said from a comparison alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from headrace.domain.comparison import (
    ArmScore,
    ArmSummary,
    Comparison,
    Estimate,
    MarginQuestion,
    MarginTest,
    MetricComparison,
    PairedEffect,
    Recommendation,
)
from headrace.domain.scores import Goal, MetricSpec
from headrace.evaluation import wording
from headrace.evaluation.guardrails import broken_sentence, check_guardrails, guardrail_sentence
from headrace.evaluation.stats.estimate import TIE_TOLERANCE
from headrace.evaluation.verdict import MIN_PAIRS

_GOAL_QUESTIONS: Final[Mapping[Goal, MarginQuestion]] = {
    "non_inferiority": "non-inferior",
    "equivalence": "equivalent",
}


def ship_recommendation(comparison: Comparison) -> Recommendation:
    """Say which arm to ship by the primary metric.

    The best arm among those that are better than the baseline. Where there is none, and the metric's goal
    is not to be worse, the arm that saves most among those that are shown not to be worse by the margin.
    Else the baseline, unless some arm scores better without proof, or could not be judged: then no arm
    is named. With guardrails only arms count that are shown to keep all of them.
    """
    metric = comparison.primary
    if metric is None:
        return Recommendation(arm=None, reason="Cannot be decided, because no metric was compared.")
    if not metric.effects:
        return Recommendation(
            arm=None, reason="Cannot be decided, because there is no arm beside the baseline."
        )
    better = [effect for effect in metric.effects if effect.verdict.word == "better"]
    kept = [effect for effect in better if _keeps_guardrails(comparison, effect.arm)]
    if kept:
        return _guarded(comparison, _ship_best(comparison, metric, kept), better)
    cheaper = _saving_arms(comparison, metric)
    guarded = [saving for saving in cheaper if _keeps_guardrails(comparison, saving.effect.arm)]
    if guarded:
        return _guarded(comparison, _ship_cheaper(comparison, metric, guarded), better)
    if better or cheaper:
        return _ship_unguarded(comparison, metric, better or [saving.effect for saving in cheaper])
    return _ship_none(comparison, metric)


def _keeps_guardrails(comparison: Comparison, arm: str) -> bool:
    return all(check.holds for check in check_guardrails(comparison, arm))


def _guarded(comparison: Comparison, found: Recommendation, better: Sequence[PairedEffect]) -> Recommendation:
    """What was found, with what the guardrails say of it and of better arms that do not keep them."""
    if not comparison.guardrails or found.arm is None:
        return found
    checks = check_guardrails(comparison, found.arm)
    left_out = [effect.arm for effect in better if not _keeps_guardrails(comparison, effect.arm)]
    reason = f"{found.reason} {guardrail_sentence(checks, comparison.provenance.family)}"
    if left_out:
        reason += f" Left out for their guardrails: {', '.join(left_out)}."
    return Recommendation(arm=found.arm, reason=reason, guardrails=checks)


def _held_back(comparison: Comparison, *, is_broken: bool) -> str:
    base = comparison.baseline
    return f"Keep {base}." if is_broken else f"Too little evidence to leave {base}."


def _ship_unguarded(
    comparison: Comparison, metric: MetricComparison, effects: Sequence[PairedEffect]
) -> Recommendation:
    """No arm that is good enough keeps its guardrails: the baseline where all of them break one, else no arm."""
    summaries = {summary.arm: summary for summary in comparison.arms}
    best = rank_arms([effect.arm for effect in effects], metric.spec, metric.scores, summaries)[0]
    checks = check_guardrails(comparison, best)
    all_broken = all(
        any(check.is_broken for check in check_guardrails(comparison, effect.arm)) for effect in effects
    )
    end = _held_back(comparison, is_broken=all_broken)
    reason = f"{best} is good enough on {metric.spec.name}, but {broken_sentence(checks)}. {end}"
    return Recommendation(arm=comparison.baseline if all_broken else None, reason=reason, guardrails=checks)


def keep_guardrails(comparison: Comparison, found: Recommendation) -> Recommendation:
    """A recommendation that was made otherwise, held back where its arm is not shown to keep the guardrails."""
    if found.arm is None or found.guardrails:
        return found
    checks = check_guardrails(comparison, found.arm)
    if all(check.holds for check in checks):
        kept = guardrail_sentence(checks, comparison.provenance.family)
        reason = " ".join(filter(None, [found.reason, kept]))
        return Recommendation(arm=found.arm, reason=reason, guardrails=checks)
    is_broken = any(check.is_broken for check in checks)
    return Recommendation(
        arm=comparison.baseline if is_broken else None,
        reason=f"{found.reason} But {broken_sentence(checks)}. {_held_back(comparison, is_broken=is_broken)}",
        guardrails=checks,
    )


def rank_arms(
    arms: Sequence[str],
    spec: MetricSpec,
    scores: Sequence[ArmScore],
    summaries: Mapping[str, ArmSummary],
) -> list[str]:
    """The arms, best mean first; equal means by cost per line, then by median latency.

    Unknown costs and latencies come last.
    """
    means = {score.arm: score.mean.value for score in scores if score.mean is not None}
    sign = -1.0 if spec.direction == "higher" else 1.0

    def key(arm: str) -> tuple[float, float, float]:
        score = round(sign * means[arm], 9) if arm in means else inf
        return score, _cost_per_line(summaries[arm]), _median_latency(summaries[arm])

    return sorted(arms, key=key)


def _ship_best(
    comparison: Comparison, metric: MetricComparison, better: Sequence[PairedEffect]
) -> Recommendation:
    summaries = {summary.arm: summary for summary in comparison.arms}
    ranked = rank_arms([e.arm for e in better], metric.spec, metric.scores, summaries)
    best = ranked[0]
    effect = next(effect for effect in better if effect.arm == best)
    reason = f"{best} beats {comparison.baseline} on {metric.spec.name}: {effect.verdict.reason}"
    leaders = metric.leaders
    if leaders is None:
        return Recommendation(arm=best, reason=reason)
    others = wording.count(len(ranked) - 1, "other arm")
    verb = "beats" if len(ranked) == 2 else "beat"
    if leaders.verdict.word == "better":
        tail = f"It is also separated from the runner-up {leaders.against}."
    elif leaders.difference is not None and abs(leaders.difference.value) < TIE_TOLERANCE:
        tail = f"It ties with {leaders.against}; {_tie_breaker(summaries[best], summaries[leaders.against])}."
    else:
        tail = f"It is not separated from the runner-up {leaders.against}: {leaders.verdict.reason}"
    return Recommendation(arm=best, reason=f"{reason} {others} {verb} the baseline too. {tail}")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Saving:
    """What an arm saves against the baseline: the quantity, and its ratio, below 1 beyond doubt."""

    effect: PairedEffect
    test: MarginTest
    what: str
    ratio: Estimate


def _saving_arms(comparison: Comparison, metric: MetricComparison) -> list[_Saving]:
    """Arms that the goal allows and that cost less or answer faster beyond doubt, the largest saving first.

    Cost counts where it is known; tokens are no cost, so that without prices speed decides.
    """
    question = _GOAL_QUESTIONS.get(metric.spec.goal)
    found = []
    for effect in metric.effects:
        test = next((test for test in effect.margin_tests if test.question == question and test.holds), None)
        if test is None or not effect.verdict.is_judged or effect.verdict.word == "worse":
            continue
        summary = comparison.summary_of(effect.arm)
        for what, ratio in (("costs", summary.cost_ratio), ("takes", summary.latency_ratio)):
            if ratio is not None and _is_saving(ratio):
                found.append(_Saving(effect=effect, test=test, what=what, ratio=ratio))
                break
    return sorted(found, key=lambda saving: (saving.what != "costs", saving.ratio.value))


def _is_saving(ratio: Estimate) -> bool:
    """Whether a ratio is below 1 beyond doubt; one that is the same on every line has no interval and needs none."""
    if ratio.interval is None:
        return ratio.n >= MIN_PAIRS and ratio.value < 1.0 - TIE_TOLERANCE
    return ratio.interval.high < 1.0


def _ship_cheaper(
    comparison: Comparison, metric: MetricComparison, savings: Sequence[_Saving]
) -> Recommendation:
    best = savings[0]
    goal = "no worse than" if best.test.question == "non-inferior" else "as good as"
    saved = "the cost" if best.what == "costs" else "the time"
    p_name = wording.p_name(comparison.provenance.family)
    p = "" if best.test.p_adjusted is None else f", {p_name} {wording.p_value(best.test.p_adjusted)}"
    reason = (
        f"{best.effect.arm} is {goal} {comparison.baseline} on {metric.spec.name} within the margin of "
        f"{wording.number(best.test.margin)}{p}, and {best.what} {wording.ratio(best.ratio)} {saved} of a line."
    )
    if len(savings) > 1:
        others = ", ".join(saving.effect.arm for saving in savings[1:])
        reason += f" So does, with less to save: {others}."
    return Recommendation(arm=best.effect.arm, reason=reason)


def _tie_breaker(best: ArmSummary, other: ArmSummary) -> str:
    if _cost_per_line(best) != _cost_per_line(other):
        return "it costs less per line"
    if _median_latency(best) != _median_latency(other):
        return "it answers faster"
    return "it is named because it comes first"


def _ship_none(comparison: Comparison, metric: MetricComparison) -> Recommendation:
    unjudged = [effect for effect in metric.effects if not effect.verdict.is_judged]
    if len(unjudged) == len(metric.effects):
        return Recommendation(arm=None, reason=unjudged[0].verdict.reason)
    baseline = comparison.baseline
    promising = _most_promising(metric)
    if promising is not None:
        return Recommendation(
            arm=None,
            reason=f"Too little evidence to move from {baseline}. "
            f"Closest is {promising.arm}: {promising.verdict.reason}",
        )
    reason = f"No arm is better than {baseline} on {metric.spec.name}; keep it."
    if metric.spec.goal in _GOAL_QUESTIONS:
        reason = (
            f"No arm is shown to be good enough on {metric.spec.name} and to save anything; keep {baseline}."
        )
    equivalent = [effect.arm for effect in metric.effects if effect.verdict.word == "equivalent"]
    if equivalent:
        reason += f" Equivalent within the margin: {', '.join(equivalent)}."
    if unjudged:
        reason += f" Not judged: {', '.join(effect.arm for effect in unjudged)}."
    return Recommendation(arm=baseline, reason=reason)


def _most_promising(metric: MetricComparison) -> PairedEffect | None:
    """The undecided arm with the largest observed gain; ``None`` where none gains."""
    sign = 1.0 if metric.spec.direction == "higher" else -1.0
    gains = [
        (sign * effect.difference.value, effect)
        for effect in metric.effects
        if effect.verdict.word == "inconclusive"
        and effect.verdict.is_judged
        and effect.difference is not None
        and sign * effect.difference.value > TIE_TOLERANCE
    ]
    return max(gains, key=lambda pair: pair[0])[1] if gains else None


def _cost_per_line(summary: ArmSummary) -> float:
    if summary.cost_usd is None or summary.n_lines == 0:
        return inf
    return summary.cost_usd / summary.n_lines


def _median_latency(summary: ArmSummary) -> float:
    return inf if summary.latency_p50_ms is None else summary.latency_p50_ms.value

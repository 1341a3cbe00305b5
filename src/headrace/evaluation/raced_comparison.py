"""A comparison of arms that raced: what may be said of arms that were dropped, and which arm to ship."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import exp

from headrace.domain.comparison import (
    ArmScore,
    Comparison,
    Estimate,
    MetricComparison,
    PairedEffect,
    Recommendation,
    Slice,
    Verdict,
)
from headrace.domain.race import Drop, RaceArm, RaceResult
from headrace.evaluation import wording
from headrace.evaluation.caveats import about_effects
from headrace.evaluation.recommendation import keep_guardrails, ship_recommendation
from headrace.evaluation.stats.estimate import TIE_TOLERANCE


def mark_dropped(comparison: Comparison, race: RaceResult) -> Comparison:
    """The comparison without any claim that rests on where an arm happened to be stopped.

    An arm is dropped because its scores are low just then, so p, intervals and rankings that include it do not keep
    their promise. Its score and its difference stay, over the lines that it answered.
    """
    if not race.dropped:
        return comparison
    metrics = tuple(_mark_metric(metric, race) for metric in comparison.metrics)
    drops = ", ".join(
        f"{arm.arm} after {wording.count(arm.n_lines, 'line')}" for arm in race.arms if arm.drop
    )
    caveat = f"Dropped from the race: {drops}. Their scores are over the lines that they answered, without p."
    before = {text for metric in comparison.metrics for text in about_effects(metric)}
    after = tuple(text for metric in metrics for text in about_effects(metric))
    kept = (text for text in comparison.warnings if text not in before and "without a partner in" not in text)
    return replace(comparison, metrics=metrics, warnings=(caveat, *after, *kept))


def _mark_metric(metric: MetricComparison, race: RaceResult) -> MetricComparison:
    return replace(
        metric,
        scores=_unranked(metric.scores),
        effects=_mark_effects(metric.effects, race),
        leaders=None,
        slices=tuple(_mark_slice(part, race) for part in metric.slices),
        main_effects=(),
        interaction=(),
    )


def _mark_slice(part: Slice, race: RaceResult) -> Slice:
    return replace(part, scores=_unranked(part.scores), effects=_mark_effects(part.effects, race))


def _unranked(scores: Sequence[ArmScore]) -> tuple[ArmScore, ...]:
    return tuple(
        replace(score, shrunken=None, p_best=None, p_in_best_set=None, in_best_set=None) for score in scores
    )


def _mark_effects(effects: Sequence[PairedEffect], race: RaceResult) -> tuple[PairedEffect, ...]:
    return tuple(_mark_effect(effect, race) for effect in effects)


def _mark_effect(effect: PairedEffect, race: RaceResult) -> PairedEffect:
    gone = [race.arm_of(name) for name in (effect.arm, effect.against) if name in race.dropped]
    if not gone:
        return effect
    reason = f"Not judged: {' '.join(say_drop(arm) for arm in gone)}"
    return replace(
        effect,
        difference=_without_interval(effect.difference),
        without_failed=_without_interval(effect.without_failed),
        corrected=None,
        p_raw=None,
        p_adjusted=None,
        probability_better=None,
        n_for_observed=None,
        detectable=None,
        margin_tests=(),
        worst_case=None,
        unmatched_arm=(),
        unmatched_against=(),
        verdict=Verdict(word="inconclusive", reason=reason, is_judged=False),
    )


def _without_interval(estimate: Estimate | None) -> Estimate | None:
    return None if estimate is None else replace(estimate, interval=None)


def say_drop(arm: RaceArm) -> str:
    """When and why an arm was dropped, in a sentence; empty for an arm that was not."""
    drop = arm.drop
    if drop is None:
        return ""
    when = f"{arm.arm} was dropped after {wording.count(drop.n_lines, 'line')}"
    return f"{when}, {wording.number(drop.deficit)} behind {drop.ahead} ({say_evidence(drop)})."


def say_evidence(drop: Drop) -> str:
    """What the decision to drop an arm rests on."""
    if drop.log_e is not None:
        return f"e {exp(min(drop.log_e, 700.0)):,.0f}"
    if drop.p == 0.0:
        return "the lines left could not make it up"
    return f"p {wording.p_value(drop.p or 0.0)}"


def race_recommendation(comparison: Comparison, race: RaceResult) -> Recommendation:
    """Which arm to ship after a race.

    The arm that is left when all others are dropped; else what the comparison says of those that have answered every
    line. Where that says nothing, the winner over all lines is named in mode "winner", as that is the question then.
    Guardrails hold any of them back.
    """
    return keep_guardrails(comparison, _winner(comparison, race))


def _winner(comparison: Comparison, race: RaceResult) -> Recommendation:
    left = [arm for arm in race.arms if arm.drop is None]
    if len(left) == 1:
        others = wording.count(len(race.arms) - 1, "other arm")
        verb = "was" if len(race.arms) == 2 else "were"
        return Recommendation(
            arm=race.leader,
            reason=f"{race.leader} is left of the race on {race.metric}: the {others} {verb} dropped. {race.guarantee}",
        )
    shipped = ship_recommendation(comparison)
    if not race.dropped or (shipped.arm is not None and shipped.arm in {arm.arm for arm in left}):
        return shipped
    names = ", ".join(arm.arm for arm in left)
    if race.spec.mode == "winner" and _is_ahead(comparison, race):
        reason = f"{race.leader} scores best on {race.metric} of the arms that answered every line: {names}."
        return Recommendation(arm=race.leader, reason=f"{reason} {race.guarantee}")
    return Recommendation(
        arm=None, reason=f"The race on {race.metric} cannot tell apart: {names}. {race.guarantee}"
    )


def _is_ahead(comparison: Comparison, race: RaceResult) -> bool:
    """Whether the leader's mean differs from those of all others that are left."""
    metric = comparison.primary
    if metric is None:
        return False
    means = [
        score.mean.value
        for score in metric.scores
        if score.mean is not None and score.arm not in race.dropped and score.arm != race.leader
    ]
    best = metric.score_of(race.leader).mean
    return best is not None and all(abs(mean - best.value) > TIE_TOLERANCE for mean in means)

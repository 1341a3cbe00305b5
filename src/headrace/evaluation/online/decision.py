"""Which arm to ship and which to roll back, said from what was compared."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.domain.ab_report import (
    AbArm,
    AbComparison,
    AbDecision,
    AbGuardrail,
    HorizonState,
    Rollback,
    SampleRatio,
)
from headrace.domain.traffic import Traffic
from headrace.evaluation import wording


def decide(
    traffic: Traffic,
    arms: Sequence[AbArm],
    comparisons: Sequence[AbComparison],
    guardrails: Sequence[AbGuardrail],
    sample_ratio: SampleRatio,
    horizon: HorizonState | None,
) -> AbDecision:
    """Say which arm to ship by the primary metric.

    The best among the arms that are better than the baseline and breach no guardrail. Where there is none and the
    metric has a margin, the cheapest arm that is shown to be no worse by it and costs less than the baseline. The
    baseline where no arm is left, or the planned looks are over; else none.
    """
    base = traffic.baseline
    if sample_ratio.is_mismatch:
        return AbDecision(
            arm=None,
            reason="Nothing can be decided: units were not split among the arms as their weights say. "
            "Find out where units of one arm are lost, and start again under another seed.",
        )
    if not traffic.metrics:
        return AbDecision(arm=None, reason="Cannot be decided, because no metric is measured.")
    primary = [found for found in comparisons if found.metric == traffic.metrics[0].name]
    if not primary:
        return AbDecision(arm=None, reason="Cannot be decided, because there is no arm beside the baseline.")
    breached = {found.arm for found in guardrails if found.is_breached}
    kept = [found for found in primary if found.arm not in breached]
    better = [found for found in kept if found.word == "better"]
    if better:
        return _ship(better, base)
    cheaper = _cheaper(kept, {arm.arm: arm for arm in arms}, base)
    if cheaper is not None:
        return cheaper
    return _ship_none(primary, kept, breached, base, is_over=horizon is not None and horizon.is_over)


def _ship(better: Sequence[AbComparison], base: str) -> AbDecision:
    sign = 1.0 if better[0].direction == "higher" else -1.0
    best = max(better, key=lambda found: sign * (found.effect or 0.0))
    return AbDecision(
        arm=best.arm,
        reason=f"Ship {best.arm}. {best.arm} beats {base} on {best.metric}: {best.verdict.reason}",
    )


def _cheaper(kept: Sequence[AbComparison], arms: dict[str, AbArm], base: str) -> AbDecision | None:
    usual = arms[base].mean_cost_usd
    if usual is None:
        return None
    costs = [
        (cost, found)
        for found in kept
        if found.verdict.is_judged
        and found.margin is not None
        and found.margin.is_no_worse
        and (cost := arms[found.arm].mean_cost_usd) is not None
        and cost < usual
    ]
    if not costs:
        return None
    cost, found = min(costs, key=lambda pair: pair[0])
    margin = wording.number(found.margin.margin) if found.margin else ""
    return AbDecision(
        arm=found.arm,
        reason=f"Ship {found.arm}. It is no worse than {base} on {found.metric} by {margin} and costs "
        f"{wording.cost(cost)} a request instead of {wording.cost(usual)}.",
    )


def _ship_none(
    primary: Sequence[AbComparison],
    kept: Sequence[AbComparison],
    breached: set[str],
    base: str,
    *,
    is_over: bool,
) -> AbDecision:
    left = [found for found in kept if found.word in ("inconclusive", "equivalent")]
    metric = primary[0].metric
    if not left or is_over:
        worse = [found.arm for found in primary if found.word == "worse"]
        reason = f"Keep {base}: no arm is better on {metric}"
        if worse:
            reason += f"; worse: {', '.join(worse)}"
        if breached:
            reason += f"; rolled back or due for it: {', '.join(sorted(breached))}"
        return AbDecision(arm=base, reason=f"{reason}.")
    if all(found.word == "equivalent" for found in left):
        names = ", ".join(found.arm for found in left)
        return AbDecision(
            arm=base, reason=f"Keep {base}: nothing better on {metric}. As good within the margin: {names}."
        )
    sign = 1.0 if primary[0].direction == "higher" else -1.0
    closest = max(left, key=lambda found: sign * (found.effect or 0.0))
    return AbDecision(
        arm=None,
        reason=f"Too little evidence to move from {base}. Closest is {closest.arm}: {closest.verdict.reason}",
    )


def due_rollbacks(arms: Sequence[AbArm], guardrails: Sequence[AbGuardrail]) -> tuple[Rollback, ...]:
    """Arms that have traffic and breach a guardrail, each with the first that it breaches."""
    shares = {arm.arm: arm.share for arm in arms}
    found: dict[str, Rollback] = {}
    for guardrail in guardrails:
        if guardrail.is_breached and shares.get(guardrail.arm, 0.0) > 0.0 and guardrail.arm not in found:
            found[guardrail.arm] = Rollback(
                arm=guardrail.arm, by=f"guardrail {guardrail.metric}", evidence=guardrail
            )
    return tuple(found.values())

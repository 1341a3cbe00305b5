"""Guardrails: scores on which an arm must not be worse than the baseline, by a margin, to be shipped.

An arm keeps its guardrails only where each of them is *shown* to hold. Over the guardrails nothing is adjusted: to ship
an arm that breaks one of them, the test of that one must err, and it errs with probability alpha at most, whatever the
others say. That is an intersection-union test; Berger (1982), Multiparameter hypothesis testing and acceptance
sampling, Technometrics 24(4), 295-300. Over the arms each guardrail is adjusted (with Holm, unless the family says
otherwise), because the arm that is shipped is picked from all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headrace.domain.comparison import Comparison, Family, GuardrailCheck, MarginTest, PairedEffect
from headrace.domain.scores import MetricSpec
from headrace.evaluation import wording
from headrace.evaluation.evidence import margin_test


def check_guardrails(comparison: Comparison, arm: str) -> tuple[GuardrailCheck, ...]:
    """Every guardrail of the comparison for one arm, in their order; the baseline has none to keep."""
    if arm == comparison.baseline:
        return ()
    metrics = {metric.spec.name: metric for metric in comparison.metrics}
    checks = []
    for name in comparison.guardrails:
        metric = metrics[name]
        effect = metric.effect_of(arm)
        checks.append(
            GuardrailCheck(
                arm=arm,
                metric=name,
                test=_non_inferiority(effect),
                is_broken=effect is not None and _is_broken(effect, metric.spec),
            )
        )
    return tuple(checks)


def guarded_metrics(
    metrics: Sequence[MetricSpec], guardrails: Mapping[str, MetricSpec]
) -> tuple[MetricSpec, ...]:
    """The metrics of a comparison with those of its guardrails, which are compared with a margin.

    Args:
        metrics: What was asked for; the first one decides.
        guardrails: By name; of a metric that is asked for the margin counts where it has none.
    """
    asked = {metric.name for metric in metrics}
    merged = [
        guardrails.get(metric.name, metric) if metric.margin is None and number else metric
        for number, metric in enumerate(metrics)
    ]
    return (*merged, *(spec for name, spec in guardrails.items() if name not in asked))


def guardrail_sentence(checks: Sequence[GuardrailCheck], family: Family) -> str:
    """What to say of an arm that keeps all its guardrails; empty without any."""
    if not checks:
        return ""
    kept = []
    for check in checks:
        p = check.test.p_adjusted if check.test else None
        note = "" if p is None else f", {wording.p_name(family)} {wording.p_value(p)}"
        margin = "" if check.test is None else f" within {wording.number(check.test.margin)}"
        kept.append(f"{check.metric}{margin}{note}")
    return f"It is no worse on {'; '.join(kept)}."


def broken_sentence(checks: Sequence[GuardrailCheck]) -> str:
    """What keeps an arm from being shipped: the guardrails that are not shown to hold."""
    texts = []
    for check in checks:
        if check.holds:
            continue
        if check.test is None:
            texts.append(f"nothing can be said of {check.metric}")
            continue
        margin = wording.number(check.test.margin)
        verb = "is worse" if check.is_broken else "is not shown to be no worse"
        bound = (
            ""
            if check.test.bound is None
            else f" (worst end of its interval {wording.signed(check.test.bound)})"
        )
        texts.append(f"it {verb} on {check.metric} by {margin}{bound}")
    return "; ".join(texts)


def _non_inferiority(effect: PairedEffect | None) -> MarginTest | None:
    if effect is None or not effect.verdict.is_judged:
        return None
    return margin_test(effect, "non-inferior")


def _is_broken(effect: PairedEffect, spec: MetricSpec) -> bool:
    """Whether even the better end of the interval lies beyond the margin."""
    interval = effect.difference.interval if effect.difference else None
    if interval is None or spec.margin is None or not effect.verdict.is_judged:
        return False
    return interval.high < -spec.margin if spec.direction == "higher" else interval.low > spec.margin

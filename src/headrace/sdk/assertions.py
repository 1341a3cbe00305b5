"""Questions that a test asks of a comparison, answered with the evidence in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf

from headrace.domain.comparison import Comparison, MarginQuestion, MetricComparison, PairedEffect
from headrace.domain.scores import MetricSpec
from headrace.errors import Problem, UsageError, nearest
from headrace.evaluation.comparison import compare
from headrace.evaluation.evidence import evidence, margin_test
from headrace.operations.compare_runs import ComparisonResult

_CLAIMS = {
    "superior": "better than {against} by more than {margin:g}",
    "non-inferior": "worse than {against} by less than {margin:g}",
    "equivalent": "within {margin:g} of {against}",
}


def assert_shown(
    result: ComparisonResult,
    question: MarginQuestion,
    *,
    metric: str | None,
    margin: float | None,
    arm: str | None,
    against: str | None,
) -> None:
    """Fail unless the data show what is asked.

    Args:
        result: The comparison.
        question: Which test decides.
        metric: Name; ``None`` for the first.
        margin: ``None`` for that of the metric; only "superior" may have none, or zero, and then asks for the verdict.
        arm: ``None`` for the only one beside the arm it is compared with.
        against: ``None`` for the baseline.

    Raises:
        AssertionError: They do not; its text is the evidence.
        UsageError: V305, G901, C507 for what is not there; G903 for a margin that makes no sense.
    """
    spec = find_metric(result.comparison, metric).spec
    is_plain = question == "superior" and not margin
    margin = None if is_plain else _margin(spec, margin)
    asked = _compared(result, spec, margin, arm, against)
    effect, found = asked
    if is_plain:
        is_shown, claim = effect.verdict.word == "better", f"better than {effect.against}"
    else:
        test = margin_test(effect, question)
        is_shown = effect.verdict.is_judged and test is not None and test.holds
        claim = _CLAIMS[question].format(against=effect.against, margin=margin)
    if not is_shown:
        head = f"{effect.arm} is not shown to be {claim} on {spec.name}."
        adjustment = result.comparison.provenance.adjustment
        raise AssertionError("\n  ".join((head, *evidence(effect, found, adjustment))))


def find_effect(
    result: ComparisonResult, *, metric: str | None, arm: str | None, against: str | None = None
) -> PairedEffect:
    """One arm against another on one metric.

    Raises:
        UsageError: V305 for an arm that is not there, C507 where it is not clear which is asked about, G901 for a
            metric that was not compared.
    """
    spec = find_metric(result.comparison, metric).spec
    return _compared(result, spec, spec.margin, arm, against)[0]


def find_metric(comparison: Comparison, name: str | None) -> MetricComparison:
    """Every arm on one metric; ``None`` for the first.

    Raises:
        UsageError: G901 when it was not compared.
    """
    for metric in comparison.metrics:
        if name in (None, metric.spec.name):
            return metric
    names = [metric.spec.name for metric in comparison.metrics]
    raise UsageError(_unknown("G901", f'The metric "{name}" was not compared.', str(name), names))


def _compared(
    result: ComparisonResult, spec: MetricSpec, margin: float | None, arm: str | None, against: str | None
) -> tuple[PairedEffect, MetricComparison]:
    comparison = result.comparison
    names = [summary.arm for summary in comparison.arms]
    baseline = comparison.baseline if against is None else _known(against, names)
    others = [name for name in names if name != baseline]
    if arm is None and len(others) != 1:
        what = f"It is not clear which arm is asked about: {len(others)} stand beside {baseline}."
        raise UsageError(Problem(code="C507", what=what, fix=f"Say arm=..., one of {', '.join(others)}."))
    wanted = others[0] if arm is None else _known(arm, others)
    found = find_metric(comparison, spec.name)
    if baseline != comparison.baseline or (margin is not None and margin != spec.margin):
        provenance = comparison.provenance
        again = compare(
            result.arms,
            baseline=baseline,
            metrics=[replace(spec, margin=margin)],
            alpha=provenance.alpha,
            family=provenance.family,
            seed=provenance.seed,
            facts=result.facts,
        )
        found = again.metrics[0]
    effect = found.effect_of(wanted)
    assert effect is not None  # noqa: S101 - every arm beside the baseline has one
    return effect, found


def _margin(spec: MetricSpec, given: float | None) -> float:
    margin = spec.margin if given is None else given
    if margin is not None and 0 < margin < inf:
        return margin
    what = (
        f"The metric {spec.name} has no margin."
        if margin is None
        else f"The margin of {spec.name} must be above zero."
    )
    raise UsageError(
        Problem(code="G903", what=what, fix="Give the largest difference that does not matter: margin=...")
    )


def _known(name: str, names: Sequence[str]) -> str:
    if name in names:
        return name
    raise UsageError(_unknown("V305", f'There is no arm "{name}" to ask about.', name, names))


def _unknown(code: str, what: str, name: str, known: Sequence[str]) -> Problem:
    near = nearest(name, known)
    listed = ", ".join(known) or "none"
    return Problem(code=code, what=what, fix=f'Did you mean "{near}"?' if near else f"There are: {listed}.")

"""Questions that a test asks of a comparison, answered with the evidence in words."""

from __future__ import annotations

from math import inf

from headrace.domain.comparison import MarginQuestion
from headrace.domain.scores import MetricSpec
from headrace.errors import Problem, UsageError
from headrace.evaluation.evidence import evidence, margin_test
from headrace.operations.compare_runs import ComparisonResult
from headrace.operations.find_effects import compared_effect, find_metric

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
    asked = compared_effect(result, spec, margin, arm, against)
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

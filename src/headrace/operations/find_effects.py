"""Find what a comparison says about one arm against another on one metric, comparing again where that is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from headrace.domain.comparison import Comparison, MetricComparison, PairedEffect
from headrace.domain.scores import MetricSpec
from headrace.errors import Problem, UsageError, nearest
from headrace.evaluation.comparison import compare
from headrace.operations.compare_runs import ComparisonResult


def find_effect(
    result: ComparisonResult, *, metric: str | None, arm: str | None, against: str | None = None
) -> PairedEffect:
    """One arm against another on one metric.

    Raises:
        UsageError: V305 for an arm that is not there, C507 where it is not clear which is asked about, G901 for a
            metric that was not compared.
    """
    spec = find_metric(result.comparison, metric).spec
    return compared_effect(result, spec, spec.margin, arm, against)[0]


def find_metric(comparison: Comparison, name: str | None) -> MetricComparison:
    """Every arm on one metric; ``None`` for the first.

    Raises:
        UsageError: G901 when it was not compared.
    """
    for metric in comparison.metrics:
        if name in (None, metric.spec.name):
            return metric
    raise no_metric(str(name), [metric.spec.name for metric in comparison.metrics])


def no_metric(name: str, names: Sequence[str]) -> UsageError:
    """G901 for a metric that is not among ``names``."""
    return UsageError(_unknown("G901", f'The metric "{name}" was not compared.', name, names))


def compared_effect(
    result: ComparisonResult, spec: MetricSpec, margin: float | None, arm: str | None, against: str | None
) -> tuple[PairedEffect, MetricComparison]:
    """One arm against another on one metric, by a margin that may be another than that of the comparison.

    Raises:
        UsageError: V305 for an arm that is not there, C507 where it is not clear which is asked about.
    """
    wanted, baseline = choose_arms(arm_names(result.comparison), result.comparison.baseline, arm, against)
    found = find_metric(compared_by(result, spec, margin, baseline), spec.name)
    effect = found.effect_of(wanted)
    assert effect is not None  # noqa: S101 - every arm beside the baseline has one
    return effect, found


def choose_arms(names: Sequence[str], baseline: str, arm: str | None, against: str | None) -> tuple[str, str]:
    """The arm that is asked about and the one that it is compared with.

    Args:
        names: Of all arms.
        baseline: What arms are compared with where nothing else is said.
        arm: ``None`` for the only one beside the arm that it is compared with.
        against: ``None`` for the baseline.

    Raises:
        UsageError: V305 for an arm that is not there, C507 where it is not clear which is asked about.
    """
    baseline = baseline if against is None else known_arm(against, names)
    others = [name for name in names if name != baseline]
    if arm is None and len(others) != 1:
        what = f"It is not clear which arm is asked about: {len(others)} stand beside {baseline}."
        raise UsageError(Problem(code="C507", what=what, fix=f"Say which arm, one of {', '.join(others)}."))
    if arm == baseline:
        what = f'The arm "{arm}" is what the others are compared with.'
        raise UsageError(Problem(code="V305", what=what, fix=f"Ask about one of {', '.join(others)}."))
    return others[0] if arm is None else known_arm(arm, others), baseline


def compared_by(
    result: ComparisonResult, spec: MetricSpec, margin: float | None, baseline: str
) -> Comparison:
    """The comparison where it has this baseline and margin already, else one of this metric that does."""
    comparison = result.comparison
    if baseline == comparison.baseline and margin in (None, spec.margin):
        return comparison
    provenance = comparison.provenance
    return compare(
        result.arms,
        baseline=baseline,
        metrics=[replace(spec, margin=margin)],
        alpha=provenance.alpha,
        family=provenance.family,
        seed=provenance.seed,
        facts=result.facts,
    )


def arm_names(comparison: Comparison) -> list[str]:
    """Names of the arms, in order."""
    return [summary.arm for summary in comparison.arms]


def known_arm(name: str, names: Sequence[str]) -> str:
    """``name``, which is one of ``names``.

    Raises:
        UsageError: V305 when it is not.
    """
    if name in names:
        return name
    raise UsageError(_unknown("V305", f'There is no arm "{name}" to ask about.', name, names))


def _unknown(code: str, what: str, name: str, known: Sequence[str]) -> Problem:
    near = nearest(name, known)
    listed = ", ".join(known) or "none"
    return Problem(code=code, what=what, fix=f'Did you mean "{near}"?' if near else f"There are: {listed}.")

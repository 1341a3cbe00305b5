"""From a measured difference to one word and the sentence that justifies it."""

from __future__ import annotations

from headrace.domain.comparison import Estimate, Interval, Verdict
from headrace.evaluation import wording
from headrace.evaluation.effects import Measurement
from headrace.evaluation.line_scores import SettledMetric

#: Paired lines below which no verdict is given.
MIN_PAIRS = 5

_MAX_NAMED_LINES = 100_000


def judge(
    effect: Measurement,
    metric: SettledMetric,
    *,
    p_adjusted: float | None,
    alpha: float,
    has_failed_baseline: bool = False,
) -> Verdict:
    """Give the verdict on a measured difference.

    "better" and "worse" need both the adjusted p and the interval; where only one of them speaks,
    the verdict is inconclusive and borderline. "equivalent" needs a margin and an interval inside
    it: a large p alone never means that there is no difference.

    Args:
        effect: What was measured.
        metric: The metric, with its direction and margin.
        p_adjusted: p over the family of comparisons.
        alpha: Error rate.
        has_failed_baseline: Every execution of the arm it is judged against failed.
    """
    if has_failed_baseline:
        return _undecided(f"every line of {effect.against} failed")
    difference = effect.difference
    if difference is None or p_adjusted is None:
        return _undecided(
            f"no line has a usable {metric.spec.name} on both {effect.arm} and {effect.against}"
        )
    if effect.n_pairs < MIN_PAIRS:
        lines = wording.count(effect.n_pairs, "line")
        verb = "is" if effect.n_pairs == 1 else "are"
        return _undecided(f"only {lines} {verb} paired and {MIN_PAIRS} are needed")
    if difference.interval is None:
        return _undecided("the scores of these arms show no spread to judge a difference by")
    return _weigh(effect, metric, difference, difference.interval, p_adjusted <= alpha, p_adjusted)


def _weigh(
    effect: Measurement,
    metric: SettledMetric,
    difference: Estimate,
    interval: Interval,
    is_significant: bool,  # noqa: FBT001 - computed by the only caller
    p_adjusted: float,
) -> Verdict:
    margin = metric.spec.margin
    is_inside = margin is not None and -margin <= interval.low and interval.high <= margin
    evidence = f"{wording.level(interval)} interval {wording.span(interval)}"
    if is_significant and interval.excludes_zero:
        is_better = (difference.value > 0.0) == (metric.spec.direction == "higher")
        side = "higher" if difference.value > 0.0 else "lower"
        reason = (
            f"{wording.number(abs(difference.value))} {side} on "
            f"{wording.count(effect.n_pairs, 'paired line')} "
            f"({evidence}, adjusted p {wording.p_value(p_adjusted)})"
        )
        if is_inside and margin is not None:
            reason += f", yet within the margin of \N{PLUS-MINUS SIGN}{wording.number(margin)}"
        return Verdict(word="better" if is_better else "worse", reason=f"{reason}.")
    if is_inside and margin is not None:
        return Verdict(
            word="equivalent",
            reason=f"The {evidence} lies within \N{PLUS-MINUS SIGN}{wording.number(margin)}.",
        )
    if interval.excludes_zero or is_significant:
        return Verdict(
            word="inconclusive",
            reason=_borderline_reason(effect, interval, evidence, p_adjusted),
            is_borderline=True,
        )
    return Verdict(word="inconclusive", reason=_inconclusive_reason(effect, evidence))


def _borderline_reason(effect: Measurement, interval: Interval, evidence: str, p_adjusted: float) -> str:
    p = f"adjusted p is {wording.p_value(p_adjusted)}"
    if interval.excludes_zero:
        return f"Borderline: the {evidence} excludes zero, but the {p}{_more(effect)}."
    return f"Borderline: the {p}, but the {evidence} contains zero{_more(effect)}."


def _inconclusive_reason(effect: Measurement, evidence: str) -> str:
    if effect.ties == effect.n_pairs:
        lines = wording.count(effect.n_pairs, "paired line")
        return f"All {lines} score the same on both arms{_blind_spot(effect)}."
    if effect.n_for_observed is None:
        return f"The {evidence} contains zero and no difference was seen{_blind_spot(effect)}."
    return f"The {evidence} contains zero{_more(effect)}."


def _more(effect: Measurement) -> str:
    if effect.n_for_observed is None or effect.n_for_observed <= effect.n_pairs:
        return ""
    missing = effect.n_for_observed - effect.n_pairs
    is_huge = missing > _MAX_NAMED_LINES
    named = f"more than {_MAX_NAMED_LINES:,}" if is_huge else f"about {_two_digits(missing):,}"
    noun = "line" if missing == 1 else "lines"
    return f"; {named} more {noun} would resolve a difference of this size"


def _blind_spot(effect: Measurement) -> str:
    if effect.detectable is None:
        return ""
    return f"; a difference under {wording.number(effect.detectable)} would mostly go unseen"


def _two_digits(n: int) -> int:
    """``n`` to two significant digits, upwards: the figure is a plan, not a measurement."""
    unit: int = 10 ** max(0, len(str(n)) - 2)
    return -(-n // unit) * unit


def _undecided(because: str) -> Verdict:
    return Verdict(word="inconclusive", reason=f"Cannot be decided, because {because}.", is_judged=False)

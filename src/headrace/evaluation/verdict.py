"""From a measured difference to one word and the sentence that justifies it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.domain.comparison import Interval, MarginTest, Verdict
from headrace.evaluation import wording
from headrace.evaluation.effects import Measurement
from headrace.evaluation.line_scores import SettledMetric
from headrace.evaluation.stats.clustered import MIN_CLUSTERS

#: Paired lines below which no verdict is given.
MIN_PAIRS = 5

_MAX_NAMED_LINES = 100_000


def judge(
    effect: Measurement,
    metric: SettledMetric,
    *,
    p_adjusted: float | None,
    alpha: float,
    margin_tests: Sequence[MarginTest] = (),
    has_failed_baseline: bool = False,
    is_adjusted: bool = True,
) -> Verdict:
    """Give the verdict on a measured difference.

    "better" and "worse" need both the adjusted p and the interval; where only one of them speaks,
    the verdict is inconclusive and borderline. "equivalent" needs the test against the margin, in
    its p and in the interval: a large p of the difference never means that there is none.

    Args:
        effect: What was measured.
        metric: The metric, with its direction and margin.
        p_adjusted: p over the family of comparisons.
        alpha: Error rate.
        margin_tests: Settled tests against the margin, where the metric has one.
        has_failed_baseline: Every execution of the arm it is judged against failed.
        is_adjusted: Whether ``p_adjusted`` was adjusted; only the words say so.
    """
    if has_failed_baseline:
        return _undecided(f"every line of {effect.against} failed")
    difference = effect.difference
    if difference is None:
        return _undecided(
            f"no line has a usable {metric.spec.name} on both {effect.arm} and {effect.against}"
        )
    if effect.n_pairs < MIN_PAIRS:
        lines = wording.count(effect.n_pairs, "line")
        verb = "is" if effect.n_pairs == 1 else "are"
        return _undecided(f"only {lines} {verb} paired and {MIN_PAIRS} are needed")
    if effect.n_clusters is not None and effect.n_clusters < MIN_CLUSTERS:
        clusters = wording.count(effect.n_clusters, "cluster")
        return _undecided(f"the paired lines come from {clusters} and {MIN_CLUSTERS} are needed")
    if difference.interval is None or p_adjusted is None:
        return _undecided("the scores of these arms show no spread to judge a difference by")
    is_inside = any(test.question == "equivalent" and test.holds for test in margin_tests)
    found = _Evidence(
        interval=difference.interval,
        p_adjusted=p_adjusted,
        alpha=alpha,
        is_inside=is_inside,
        p_name="adjusted p" if is_adjusted else "p",
    )
    return _weigh(effect, metric, difference.value, found)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Evidence:
    """What a verdict weighs; ``is_inside`` is true where the difference is shown to be within the margin."""

    interval: Interval
    p_adjusted: float
    alpha: float
    is_inside: bool
    p_name: str

    @property
    def is_significant(self) -> bool:
        return self.p_adjusted <= self.alpha

    @property
    def words(self) -> str:
        return f"{wording.level(self.interval)} interval {wording.span(self.interval)}"


def _weigh(effect: Measurement, metric: SettledMetric, difference: float, found: _Evidence) -> Verdict:
    margin = metric.spec.margin
    within = "" if margin is None else f"\N{PLUS-MINUS SIGN}{wording.number(margin)}"
    if found.is_significant and found.interval.excludes_zero:
        is_better = (difference > 0.0) == (metric.spec.direction == "higher")
        side = "higher" if difference > 0.0 else "lower"
        reason = (
            f"{wording.number(abs(difference))} {side} on "
            f"{wording.count(effect.n_pairs, 'paired line')} "
            f"({found.words}, {found.p_name} {wording.p_value(found.p_adjusted)})"
        )
        if found.is_inside:
            reason += f", yet within the margin of {within}"
        return Verdict(word="better" if is_better else "worse", reason=f"{reason}.")
    if found.is_inside:
        return Verdict(word="equivalent", reason=f"The {found.words} lies within {within}.")
    if found.interval.excludes_zero or found.is_significant:
        return Verdict(
            word="inconclusive",
            reason=_borderline_reason(effect, found),
            is_borderline=True,
        )
    return Verdict(word="inconclusive", reason=_inconclusive_reason(effect, found.words))


def _borderline_reason(effect: Measurement, found: _Evidence) -> str:
    p = f"{found.p_name} is {wording.p_value(found.p_adjusted)}"
    if found.interval.excludes_zero:
        return f"Borderline: the {found.words} excludes zero, but the {p}{_more(effect)}."
    return f"Borderline: the {p}, but the {found.words} contains zero{_more(effect)}."


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

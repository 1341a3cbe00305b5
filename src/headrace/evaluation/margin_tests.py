"""A difference against the margin of its metric: better by more than it, not worse by it, or neither."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.domain.comparison import MarginQuestion, MarginTest
from headrace.evaluation.line_scores import SettledMetric
from headrace.evaluation.stats.margins import (
    MarginFinding,
    non_inferiority_p,
    superiority_p,
    tost_p,
)

_TESTS: Final[Mapping[MarginQuestion, Callable[..., MarginFinding | None]]] = {
    "superior": superiority_p,
    "non-inferior": non_inferiority_p,
    "equivalent": tost_p,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RawMarginTest:
    """A margin test before its p is adjusted over the arms; ``gain_bound`` has the sign of a gain."""

    question: MarginQuestion
    margin: float
    gain_bound: float | None
    p_raw: float | None


def measure_margins(
    gains: Sequence[float], metric: SettledMetric, clusters: Sequence[str] | None, alpha: float
) -> tuple[RawMarginTest, ...]:
    """The three tests against the margin; none where the metric has no margin.

    Args:
        gains: Paired differences, higher better.
        metric: The metric with its margin.
        clusters: The cluster of each line; ``None`` where lines stand for themselves.
        alpha: Two-sided error rate of the interval that decides; each test spends half of it.
    """
    margin = metric.spec.margin
    if margin is None:
        return ()
    tests = []
    for question, test in _TESTS.items():
        found = test(
            gains,
            margin,
            is_binary=metric.is_binary,
            value_range=metric.value_range,
            clusters=clusters,
            alpha=alpha / 2.0,
        )
        tests.append(
            RawMarginTest(
                question=question,
                margin=margin,
                gain_bound=None if found is None else found.bound,
                p_raw=None if found is None else found.p,
            )
        )
    return tuple(tests)


def settle_margin(raw: RawMarginTest, p_adjusted: float | None, *, sign: float, alpha: float) -> MarginTest:
    """The test with its adjusted p, its bound in the unit of the metric, and whether it holds.

    Args:
        raw: The test as measured.
        p_adjusted: Over the arms.
        sign: 1 where higher is better, -1 where lower is.
        alpha: Two-sided error rate; a test holds at half of it.
    """
    holds = (
        p_adjusted is not None
        and raw.gain_bound is not None
        and p_adjusted <= alpha / 2.0
        and _is_beyond(raw.question, raw.gain_bound, raw.margin)
    )
    return MarginTest(
        question=raw.question,
        margin=raw.margin,
        bound=None if raw.gain_bound is None else sign * raw.gain_bound,
        p_raw=raw.p_raw,
        p_adjusted=p_adjusted,
        holds=holds,
    )


def _is_beyond(question: MarginQuestion, bound: float, margin: float) -> bool:
    if question == "superior":
        return bound > margin
    if question == "non-inferior":
        return bound > -margin
    return -margin < bound < margin

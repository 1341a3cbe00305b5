"""How many lines and repeats show that answers are no worse, from the scores of a small trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from headrace.evaluation.stats.estimate import TIE_TOLERANCE, mean
from headrace.evaluation.stats.power import lines_for_margin, variance_upper_bound
from headrace.evaluation.stats.repeats import spread
from headrace.evaluation.stats.special import normal_quantile
from headrace.evaluation.verdict import MIN_PAIRS

ALPHA = 0.05
"""One-sided error rate of "no worse"."""

MAX_REPEATS = 10

Pair = tuple[Sequence[float], Sequence[float]]
"""Scores of one line: ours and theirs, one per repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What to run.

    Attributes:
        n_lines: At most those that there are.
        n_needed: Lines that show it with 80 % power at these repeats if both sides answer alike.
    """

    n_lines: int
    repeats: int
    n_needed: int


def plan_quality(
    pairs: Sequence[Pair], margin: float, *, n_available: int, value_range: float = 1.0
) -> Design | None:
    """The cheapest design that shows "worse by less than the margin": more lines first, then repeats.

    The variance is taken at the upper end of its 80 % interval, because a plan with the plain one falls short of its
    power about half of the time. Where most lines score alike, no fewer lines will do than equal answers on every line
    would need.

    Args:
        pairs: The trial; ideally with repeats on both sides.
        margin: Above zero.
        n_available: Lines that there are.
        value_range: Width of the range of the score.

    Returns:
        ``None`` with fewer than two usable lines. Where even ``MAX_REPEATS`` do not do, all lines with those repeats.
    """
    usable = [pair for pair in pairs if pair[0] and pair[1]]
    found = spread(usable)
    if found is None:
        return None
    for repeats in range(1, MAX_REPEATS + 1):
        variance = found.between_lines + (found.within_lines or 0.0) / repeats
        needed = lines_needed(usable, margin, variance, value_range=value_range)
        if needed <= n_available or found.within_lines is None:
            break
    return Design(n_lines=min(needed, n_available), repeats=repeats, n_needed=needed)


def lines_needed(pairs: Sequence[Pair], margin: float, variance: float, *, value_range: float = 1.0) -> int:
    """Lines that show it with 80 % power if both sides answer alike.

    Args:
        pairs: What was seen; every line with scores on both sides.
        margin: Above zero.
        variance: Of the paired difference of a line, repeats averaged.
        value_range: Width of the range of the score.

    Source: ``stats.power.lines_for_margin`` with ``variance_upper_bound``; without any difference the bound of Tango
    (1998) is -z² / (n + z²), which is above the negative margin from n = z² (1 - margin) / margin on.
    """
    bounded = variance_upper_bound(variance, len(pairs))
    lines = lines_for_margin(margin, bounded, alpha=ALPHA) or 0.0
    n_unlike = sum(abs(mean(ours) - mean(theirs)) > TIE_TOLERANCE for ours, theirs in pairs)
    if n_unlike < len(pairs) / 2:
        share = margin / value_range
        lines = max(lines, normal_quantile(1.0 - ALPHA) ** 2 * (1.0 - share) / share)
    return max(MIN_PAIRS, ceil(lines))

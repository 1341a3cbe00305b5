"""Several answers to one line: where the noise comes from, and what several tries are worth."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, fsum, sqrt

from headrace.domain.comparison import Spread
from headrace.evaluation.stats.estimate import mean, variance

_ROUNDING = 1e-12  # of a deviation, beside the largest value


def spread(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Spread | None:
    """Split the variance of a paired difference into that between lines and that between repeats.

    Args:
        pairs: For each line the scores of the two arms, one per repeat; lines without a score on either side
            are left out.

    Returns:
        ``None`` with fewer than two lines. Without repeats on both sides the variance between lines contains
        that of single answers, and ``within_lines`` is ``None``.

    Source: analysis of variance of one random factor, the variance between lines cut off at zero; Miller (2024),
    arXiv 2411.00640, section 3; Searle, Casella and McCulloch (1992), Variance Components, section 3.6.
    """
    usable = [(ours, theirs) for ours, theirs in pairs if ours and theirs]
    if len(usable) < 2:
        return None
    our_means = [sum(ours) / len(ours) for ours, _ in usable]
    their_means = [sum(theirs) / len(theirs) for _, theirs in usable]
    total = variance([ours - theirs for ours, theirs in zip(our_means, their_means, strict=True)])
    within_ours = _pooled_variance([ours for ours, _ in usable])
    within_theirs = _pooled_variance([theirs for _, theirs in usable])
    correlation = _correlation(our_means, their_means)
    if within_ours is None or within_theirs is None:
        return Spread(between_lines=total, within_lines=None, correlation=correlation)
    noise = within_ours * mean([1.0 / len(ours) for ours, _ in usable])
    noise += within_theirs * mean([1.0 / len(theirs) for _, theirs in usable])
    return Spread(
        between_lines=max(0.0, total - noise),
        within_lines=within_ours + within_theirs,
        correlation=correlation,
    )


def pass_at_k(successes: int, tries: int, k: int) -> float:
    """Chance that at least one of ``k`` tries succeeds, from ``successes`` of ``tries``, without bias.

    Source: Chen et al. (2021), arXiv 2107.03374, equation 1.

    Raises:
        ValueError: Not 0 <= successes <= tries, or not 1 <= k <= tries.
    """
    _check_tries(successes, tries, k)
    return 1.0 - comb(tries - successes, k) / comb(tries, k)


def pass_hat_k(successes: int, tries: int, k: int) -> float:
    """Chance that all of ``k`` tries succeed (pass^k), from ``successes`` of ``tries``, without bias.

    Source: Yao et al. (2024), arXiv 2406.12045, section 3.

    Raises:
        ValueError: Not 0 <= successes <= tries, or not 1 <= k <= tries.
    """
    _check_tries(successes, tries, k)
    return comb(successes, k) / comb(tries, k)


def repeat_variance_factor(k: float, between_lines: float, within_lines: float) -> float:
    """Variance of a mean over lines with ``k`` repeats each, over that with one.

    Source: Miller (2024), arXiv 2411.00640, section 3.1.

    Raises:
        ValueError: ``k`` is below 1, a variance is negative, or both are zero.
    """
    if k < 1.0 or min(between_lines, within_lines) < 0.0 or between_lines + within_lines <= 0.0:
        msg = f"needs k >= 1 and variances not negative, got {k}, {between_lines}, {within_lines}"
        raise ValueError(msg)
    return (between_lines + within_lines / k) / (between_lines + within_lines)


def _pooled_variance(lines: Sequence[Sequence[float]]) -> float | None:
    repeated = [line for line in lines if len(line) > 1]
    if not repeated:
        return None
    freedom = sum(len(line) - 1 for line in repeated)
    return fsum([_squares(line) for line in repeated]) / freedom


def _squares(line: Sequence[float]) -> float:
    """Sum of squared deviations of a line's repeats from their mean."""
    if len(line) == 2:  # most often, and then it needs no mean
        return (line[0] - line[1]) ** 2 / 2.0
    centre = sum(line) / len(line)
    return fsum((value - centre) ** 2 for value in line)


def _correlation(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    our_centre, their_centre = mean(ours), mean(theirs)
    our_squares = fsum((value - our_centre) ** 2 for value in ours)
    their_squares = fsum((value - their_centre) ** 2 for value in theirs)
    if any(
        squares <= len(values) * (_ROUNDING * max(map(abs, values))) ** 2
        for squares, values in ((our_squares, ours), (their_squares, theirs))
    ):
        return None
    products = fsum((a - our_centre) * (b - their_centre) for a, b in zip(ours, theirs, strict=True))
    return max(-1.0, min(1.0, products / (sqrt(our_squares) * sqrt(their_squares))))


def _check_tries(successes: int, tries: int, k: int) -> None:
    if not 0 <= successes <= tries or not 1 <= k <= tries:
        msg = f"needs 0 <= successes <= tries and 1 <= k <= tries, got {successes}, {tries}, {k}"
        raise ValueError(msg)

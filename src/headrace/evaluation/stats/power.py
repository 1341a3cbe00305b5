"""How many lines resolve a difference, and which difference a number of lines resolves."""

from __future__ import annotations

from math import sqrt

from headrace.evaluation.stats.special import (
    beta_quantile,
    chi_square_quantile,
    normal_quantile,
)


def lines_for_binary_difference(
    difference: float, discordance: float, *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Paired lines that resolve a difference of two rates with the given power (not rounded).

    Args:
        difference: Difference of the rates, not zero; its sign does not matter.
        discordance: Share of lines on which the two arms disagree, at least the difference.
        alpha: Two-sided error rate.
        power: Chance to find the difference.

    Source: Connor (1987), Biometrics 43:207.

    Raises:
        ValueError: ``difference`` is zero, or ``discordance`` is smaller than it or above 1.
    """
    size = abs(difference)
    if size == 0.0 or not size <= discordance <= 1.0:
        msg = f"needs 0 < |difference| <= discordance <= 1, got {difference} and {discordance}"
        raise ValueError(msg)
    return _connor_lines(size, discordance, alpha, power)


def repeated_variance(
    between_lines: float, within_ours: float, within_theirs: float, *, ours: float = 1.0, theirs: float = 1.0
) -> float:
    """Variance of the paired difference of one line, each arm's repeats averaged.

    Args:
        between_lines: Variance of the true difference over lines (omega squared).
        within_ours: Variance of one answer of the one arm around its line's mean, and ``within_theirs`` of the other.
        within_theirs: See ``within_ours``.
        ours: Repeats of each line by the one arm, and ``theirs`` by the other.
        theirs: See ``ours``.

    Source: Miller (2024), arXiv 2411.00640, equation 9.

    Raises:
        ValueError: A variance is negative or a number of repeats below 1.
    """
    if min(between_lines, within_ours, within_theirs) < 0.0 or min(ours, theirs) < 1.0:
        msg = "repeated_variance needs variances not negative and repeats of 1 and more"
        raise ValueError(msg)
    return between_lines + within_ours / ours + within_theirs / theirs


def best_repeats(
    between_lines: float, within_lines: float, *, line_cost: float, call_cost: float
) -> float | None:
    """Repeats of each line that resolve the most for the money (not rounded, at least 1).

    Args:
        between_lines: Variance of the true difference over lines (omega squared).
        within_lines: Variance of one repeat's difference around it, both arms together (sigma squared).
        line_cost: What one more line costs, such as writing and labelling it.
        call_cost: What one more answer of one arm costs, in the same unit.

    Returns:
        ``None`` where the difference does not vary between lines: one line, as many repeats as can be had.

    Source: minimum of (line cost + 2 K call cost) · (omega² + sigma² / K); the allocation of two-stage sampling of
    Cochran (1977), Sampling Techniques, section 10.6.

    Raises:
        ValueError: A variance or cost is negative, or ``call_cost`` is zero.
    """
    if min(between_lines, within_lines, line_cost) < 0.0 or not call_cost > 0.0:
        msg = "best_repeats needs variances and costs that are not negative, and a price for calls"
        raise ValueError(msg)
    if between_lines == 0.0:
        return None
    return max(1.0, sqrt(within_lines * line_cost / (between_lines * 2.0 * call_cost)))


def lines_for_mean_difference(
    difference: float, variance: float, *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Paired lines that resolve a mean difference with the given power (not rounded).

    Args:
        difference: Difference of the means, not zero.
        variance: Variance of the paired differences of one line, repeats already averaged.
        alpha: Two-sided error rate.
        power: Chance to find the difference.

    Source: Miller (2024), arXiv 2411.00640, equation 9.

    Raises:
        ValueError: ``difference`` is zero or ``variance`` is negative.
    """
    if difference == 0.0 or variance < 0.0:
        msg = f"needs a difference and a variance >= 0, got {difference} and {variance}"
        raise ValueError(msg)
    return _z_sum(alpha, power) ** 2 * variance / difference**2


def detectable_binary_difference(
    n: int, discordance: float, *, alpha: float = 0.05, power: float = 0.8
) -> float | None:
    """Smallest difference of two rates that ``n`` paired lines resolve with the given power.

    Where the answer exceeds ``discordance``, the arms are taken to disagree exactly as often as
    they differ, the most favourable case.

    Returns:
        ``None`` where even a difference of 1 is out of reach.

    Source: Connor (1987), Biometrics 43:207, inverted by bisection.

    Raises:
        ValueError: ``n`` is not positive or ``discordance`` is outside [0, 1].
    """
    if n <= 0 or not 0.0 <= discordance <= 1.0:
        msg = f"needs n > 0 and discordance in [0, 1], got {n} and {discordance}"
        raise ValueError(msg)
    if _connor_lines(1.0, 1.0, alpha, power) > n:
        return None
    missed, found, middle = 0.0, 1.0, 0.5
    while missed < middle < found:
        if _connor_lines(middle, max(discordance, middle), alpha, power) > n:
            missed = middle
        else:
            found = middle
        middle = (missed + found) / 2.0
    return found


def detectable_mean_difference(n: int, variance: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Smallest mean difference that ``n`` paired lines resolve with the given power.

    Source: Miller (2024), arXiv 2411.00640, equation 10.

    Raises:
        ValueError: ``n`` is not positive or ``variance`` is negative.
    """
    if n <= 0 or variance < 0.0:
        msg = f"needs n > 0 and a variance >= 0, got {n} and {variance}"
        raise ValueError(msg)
    return _z_sum(alpha, power) * sqrt(variance / n)


def discordance_upper_bound(discordant: int, n: int, *, assurance: float = 0.8) -> float:
    """One-sided upper bound for the share of lines on which two arms disagree.

    Planning with the plain share falls short of its power about half of the time.

    Source: Clopper and Pearson (1934), one-sided.

    Raises:
        ValueError: ``n`` is not positive or ``discordant`` is outside [0, n].
    """
    if n <= 0 or not 0 <= discordant <= n:
        msg = f"needs 0 <= discordant <= n and n > 0, got {discordant} of {n}"
        raise ValueError(msg)
    if discordant == n:
        return 1.0
    return beta_quantile(assurance, discordant + 1, n - discordant)


def lines_for_margin(
    margin: float, variance: float, *, difference: float = 0.0, alpha: float = 0.05, power: float = 0.8
) -> float | None:
    """Paired lines that show "worse by less than the margin" with the given power (not rounded).

    Args:
        margin: Above zero.
        variance: Variance of the paired differences of one line, repeats already averaged; of yes-or-no scores the
            share of lines on which the arms disagree.
        difference: The arm's true gain over the other, higher better.
        alpha: One-sided error rate.
        power: Chance to show it.

    Returns:
        ``None`` where the arm is worse by the margin or more.

    Source: Julious (2004), Statistics in Medicine 23:1921, section 3, for non-inferiority.

    Raises:
        ValueError: ``margin`` is not positive or ``variance`` is negative.
    """
    if not margin > 0.0 or variance < 0.0:
        msg = f"needs a margin above 0 and a variance >= 0, got {margin} and {variance}"
        raise ValueError(msg)
    room = margin + difference
    if room <= 0.0:
        return None
    return ((normal_quantile(1.0 - alpha) + normal_quantile(power)) / room) ** 2 * variance


def variance_upper_bound(variance: float, n: int, *, assurance: float = 0.8) -> float:
    """One-sided upper bound for a variance that was estimated from ``n`` values.

    Source: (n - 1) s² / χ²; Browne (1995), Statistics in Medicine 14:1933, on planning with it.

    Raises:
        ValueError: Fewer than two values or a negative variance.
    """
    if n < 2 or variance < 0.0:
        msg = f"needs two values and a variance >= 0, got {n} and {variance}"
        raise ValueError(msg)
    return (n - 1) * variance / chi_square_quantile(1.0 - assurance, n - 1)


def _connor_lines(size: float, discordance: float, alpha: float, power: float) -> float:
    z_alpha = normal_quantile(1.0 - alpha / 2.0)
    z_beta = normal_quantile(power)
    spread = sqrt(max(0.0, discordance - size * size))
    return ((z_alpha * sqrt(discordance) + z_beta * spread) / size) ** 2


def _z_sum(alpha: float, power: float) -> float:
    return normal_quantile(1.0 - alpha / 2.0) + normal_quantile(power)

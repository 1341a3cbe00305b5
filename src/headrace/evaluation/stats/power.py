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

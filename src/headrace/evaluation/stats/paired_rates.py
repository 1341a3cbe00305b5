"""Other known tests and intervals of paired yes-or-no scores, to hold the defaults of ``stats.paired`` against.

The table of a pair of arms has ``both`` (yes, yes), ``wins`` (yes, no), ``losses`` (no, yes) and ``neither``.
"""

from __future__ import annotations

from math import sqrt

from headrace.domain.comparison import Interval
from headrace.evaluation.stats.estimate import score_interval
from headrace.evaluation.stats.special import incomplete_beta, normal_cdf, normal_quantile


def mcnemar_exact_p(wins: int, losses: int) -> float:
    """Two-sided exact McNemar test; the mid-p of ``mcnemar_mid_p`` finds more and errs as rarely as promised.

    Source: McNemar (1947), Psychometrika 12:153, by the binomial distribution.

    Raises:
        ValueError: A count is negative.
    """
    _check(wins, losses, wins + losses)
    fewer, more = min(wins, losses), max(wins, losses)
    return min(1.0, 2.0 * incomplete_beta(0.5, more, fewer + 1)) if more > fewer else 1.0


def mcnemar_asymptotic_p(wins: int, losses: int) -> float:
    """Two-sided McNemar test by the normal approximation, without a continuity correction.

    Source: McNemar (1947), Psychometrika 12:153.

    Raises:
        ValueError: A count is negative.
    """
    _check(wins, losses, wins + losses)
    if wins == losses:
        return 1.0
    return 2.0 * normal_cdf(-abs(wins - losses) / sqrt(wins + losses))


def wald_interval(wins: int, losses: int, n: int, *, level: float = 0.95) -> Interval:
    """The interval of the textbook; covers too rarely below 100 lines and has no width without a discordant pair.

    Source: Fagerland, Lydersen and Laake (2014), Statistics in Medicine 33:2850, section 3.1.

    Raises:
        ValueError: A count is negative, or ``n`` is not positive or smaller than wins + losses.
    """
    _check(wins, losses, n)
    return _around(wins, losses, n, level, "Wald")


def bonett_price_interval(wins: int, losses: int, n: int, *, level: float = 0.95) -> Interval:
    """The textbook's interval with one win and one loss added; a closed form, a little wide.

    Source: Bonett and Price (2012), Statistics in Medicine 31:3433.

    Raises:
        ValueError: A count is negative, or ``n`` is not positive or smaller than wins + losses.
    """
    _check(wins, losses, n)
    return _around(wins + 1, losses + 1, n + 2, level, "Bonett-Price")


def newcombe_interval(both: int, wins: int, losses: int, neither: int, *, level: float = 0.95) -> Interval:
    """Interval from the Wilson intervals of both rates and their correlation.

    Source: Newcombe (1998), Statistics in Medicine 17:2635, method 10.

    Raises:
        ValueError: A count is negative or all are zero.
    """
    n = both + wins + losses + neither
    _check(wins, losses, n)
    _check(both, neither, n)
    z = normal_quantile((1.0 + level) / 2.0)
    first, second = (both + wins) / n, (both + losses) / n
    first_low, first_high = score_interval(first, n, z)
    second_low, second_high = score_interval(second, n, z)
    phi = _phi(both, wins, losses, neither)
    down = _side(first - first_low, second_high - second, phi)
    up = _side(first_high - first, second - second_low, phi)
    difference = first - second
    return Interval(low=difference - down, high=difference + up, level=level, method="Newcombe 10")


def _around(wins: int, losses: int, n: int, level: float, method: str) -> Interval:
    centre = (wins - losses) / n
    half = normal_quantile((1.0 + level) / 2.0) * sqrt(((wins + losses) / n - centre**2) / n)
    return Interval(low=max(-1.0, centre - half), high=min(1.0, centre + half), level=level, method=method)


def _phi(both: int, wins: int, losses: int, neither: int) -> float:
    """Correlation of the two answers, corrected towards zero where it is positive."""
    margins = (both + wins) * (losses + neither) * (both + losses) * (wins + neither)
    if margins == 0:
        return 0.0
    crossed = float(both * neither - wins * losses)
    if crossed > 0.0:
        crossed = max(0.0, crossed - (both + wins + losses + neither) / 2.0)
    return crossed / sqrt(margins)


def _side(first: float, second: float, phi: float) -> float:
    return sqrt(max(0.0, first**2 - 2.0 * phi * first * second + second**2))


def _check(first: int, second: int, n: int) -> None:
    if min(first, second) < 0 or first + second > n or n < 0:
        msg = f"counts of pairs are not negative and not above their number, got {first}, {second}, {n}"
        raise ValueError(msg)

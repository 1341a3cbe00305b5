"""Two arms over the same lines: tests, intervals and probabilities for the paired difference."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, fsum, lgamma, log, sqrt

from headrace.domain.comparison import Estimate, Interval
from headrace.evaluation.stats.estimate import (
    TIE_TOLERANCE,
    guarded_moments,
    is_rounding,
    mean,
    t_interval,
    variance,
)
from headrace.evaluation.stats.permutation import SIGN_FLIP_DRAWS, sign_flip_tail
from headrace.evaluation.stats.special import incomplete_beta, normal_quantile, t_cdf

_LOG_LIMIT = 700.0


def sign_counts(differences: Sequence[float]) -> tuple[int, int, int]:
    """How many differences are positive, negative and zero (within 1e-9)."""
    positive = sum(difference > TIE_TOLERANCE for difference in differences)
    negative = sum(difference < -TIE_TOLERANCE for difference in differences)
    return positive, negative, len(differences) - positive - negative


def mcnemar_mid_p(wins: int, losses: int) -> float:
    """Two-sided mid-p McNemar test of "wins and losses are equally likely".

    Source: Fagerland, Lydersen and Laake (2013), BMC Medical Research Methodology 13:91.

    Raises:
        ValueError: A count is negative.
    """
    _check_win_counts(wins, losses)
    discordant = wins + losses
    if discordant == 0:
        return 1.0
    fewer = min(wins, losses)
    tail = incomplete_beta(0.5, discordant - fewer, fewer + 1)
    ways = lgamma(discordant + 1) - lgamma(fewer + 1) - lgamma(discordant - fewer + 1)
    point = exp(ways - discordant * log(2.0))
    return min(1.0, max(0.0, 2.0 * tail - point))


def tango_interval(wins: int, losses: int, n: int, *, level: float = 0.95) -> Interval:
    """Score interval for (wins - losses) / n of paired yes-or-no scores; never of zero width.

    Source: Tango (1998), Statistics in Medicine 17:891; restricted estimate as in Fagerland,
    Lydersen and Laake (2014), Statistics in Medicine 33:2850. The ends are found by bisection.

    Raises:
        ValueError: A count is negative, ``n`` is not positive or smaller than wins + losses.
    """
    _check_win_counts(wins, losses)
    if n <= 0 or wins + losses > n:
        msg = f"tango_interval needs wins + losses <= n and n > 0, got {wins}, {losses}, {n}"
        raise ValueError(msg)
    low, high = tango_ends(wins, losses, n, normal_quantile((1.0 + level) / 2.0))
    return Interval(low=low, high=high, level=level, method="Tango")


def tango_ends(wins: float, losses: float, n: float, quantile_used: float) -> tuple[float, float]:
    """Ends of Tango's interval for counts that need not be whole, such as effective counts.

    Source: Tango (1998), Statistics in Medicine 17:891.
    """
    high = _tango_end(wins, losses, n, quantile_used)
    return -_tango_end(losses, wins, n, quantile_used), high


def tango_score(wins: float, losses: float, n: float, difference: float) -> float | None:
    """Score statistic of "the difference of the two rates is ``difference``", standard normal if it is.

    Returns:
        ``None`` where the statistic has no spread: no discordant pair at a difference of zero.

    Source: Tango (1998), Statistics in Medicine 17:891; restricted estimate as in Fagerland,
    Lydersen and Laake (2014), Statistics in Medicine 33:2850.

    Raises:
        ValueError: A count is negative, ``n`` is not positive or smaller than wins + losses, or
            ``difference`` is not strictly between -1 and 1.
    """
    # Effective counts are shares of n: their sum may exceed it in the last digit.
    if min(wins, losses) < 0.0 or n <= 0.0 or wins + losses > n * (1 + 1e-12) or not -1.0 < difference < 1.0:
        msg = f"tango_score got {wins} wins, {losses} losses of {n} and a difference of {difference}"
        raise ValueError(msg)
    spread = _tango_spread(difference, wins, losses, n)
    if spread <= 0.0:
        return None
    return (wins - losses - n * difference) / sqrt(spread)


def paired_standard_error(ours: float, theirs: float, correlation: float) -> float:
    """Standard error of a paired difference, from those of the two means and the correlation of the scores.

    Source: Miller (2024), arXiv 2411.00640, section 4.2.

    Raises:
        ValueError: A standard error is negative, or the correlation is outside [-1, 1].
    """
    if min(ours, theirs) < 0.0 or not -1.0 <= correlation <= 1.0:
        msg = f"paired_standard_error got {ours}, {theirs} and a correlation of {correlation}"
        raise ValueError(msg)
    return sqrt(max(0.0, ours**2 + theirs**2 - 2.0 * correlation * ours * theirs))


def paired_t_p(differences: Sequence[float]) -> float | None:
    """Two-sided p of Student's paired t test; ``None`` without two values or without spread.

    Source: Student (1908); any textbook, t = mean · √n / s with n - 1 degrees of freedom.
    """
    error = _standard_error(differences)
    if error is None:
        return None
    return min(1.0, 2.0 * t_cdf(-abs(mean(differences)) / error, len(differences) - 1))


def sign_flip_p(differences: Sequence[float], *, seed: int = 0, draws: int = SIGN_FLIP_DRAWS) -> float:
    """Two-sided permutation p of "the mean difference is zero", by flipping signs.

    Exact with up to 26 nonzero differences, and with more of them where they lie on a grid, such as grades. Beyond that
    a saddlepoint approximation within 1 % of p where that is .01 and more, closer than random patterns come; where
    single differences stand out, ``draws`` seeded random patterns, the observed one counted among them. Zero
    differences do not matter.

    Source: Fisher (1935), The Design of Experiments, section 21; the rest in ``permutation.sign_flip_tail``.

    Raises:
        ValueError: ``draws`` is not positive.
    """
    if draws < 1:
        msg = f"sign_flip_p needs at least one draw, got {draws}"
        raise ValueError(msg)
    # Sorted, so that neither the order of the lines nor swapping the arms changes the draws.
    nonzero = sorted(abs(d) for d in differences if abs(d) > TIE_TOLERANCE)
    if not nonzero:
        return 1.0
    return sign_flip_tail(nonzero, abs(fsum(differences)), seed=seed, draws=draws)


def probability_better(wins: int, losses: int) -> float:
    """Probability that a discordant line favours the arm, P(share of wins > 1/2).

    Source: Beta(1 + wins, 1 + losses) posterior from a flat prior; 1 - I½(wins + 1, losses + 1).

    Raises:
        ValueError: A count is negative.
    """
    _check_win_counts(wins, losses)
    return incomplete_beta(0.5, losses + 1, wins + 1)


def probability_mean_positive(differences: Sequence[float], *, value_range: float = 1.0) -> float | None:
    """Probability that the mean difference is above zero, with the sparse guard.

    Returns:
        ``None`` where the differences have no spread.

    Source: Student t posterior of a normal mean under the usual flat prior; Gelman et al. (2013),
    Bayesian Data Analysis, 3rd ed., section 3.2.
    """
    moments = guarded_moments(differences, value_range)
    if moments is None:
        return None
    centre, error, df = moments
    return t_cdf(centre / error, df)


def log_ratio(
    numerators: Sequence[float], denominators: Sequence[float], *, level: float = 0.95
) -> Estimate | None:
    """Ratio of geometric means of paired positive quantities, with a t interval on the log scale.

    Returns:
        ``None`` without pairs. The interval is ``None`` for one pair, where all pairs have the
        same ratio, and where it would leave the range of a float.

    Source: Bland and Altman (1996), BMJ 312:1153; paired t interval on log(a / b), exponentiated.

    Raises:
        ValueError: Lengths differ, or a value is not positive.
    """
    if len(numerators) != len(denominators):
        msg = f"log_ratio needs pairs, got {len(numerators)} and {len(denominators)} values"
        raise ValueError(msg)
    if any(value <= 0.0 for value in (*numerators, *denominators)):
        msg = "log_ratio needs positive values"
        raise ValueError(msg)
    if not numerators:
        return None
    logs = [log(top) - log(bottom) for top, bottom in zip(numerators, denominators, strict=True)]
    if abs(mean(logs)) > _LOG_LIMIT:
        return None
    ratio = exp(mean(logs))
    # The logarithm of equal ratios differs by rounding alone, also where it is about zero.
    plain = t_interval(logs, level=level) if max(logs) - min(logs) > TIE_TOLERANCE else None
    if plain is None or max(abs(plain.low), abs(plain.high)) > _LOG_LIMIT:
        return Estimate(value=ratio, interval=None, n=len(logs))
    low, high = exp(plain.low), exp(plain.high)
    interval = Interval(low=low, high=high, level=level, method="paired log-ratio t")
    return Estimate(value=ratio, interval=interval, n=len(logs))


def _standard_error(values: Sequence[float]) -> float | None:
    """Standard error of the mean; ``None`` where it is not known or vanishes."""
    if len(values) < 2:
        return None
    spread = variance(values)
    return None if is_rounding(spread, values) else sqrt(spread / len(values))


def _tango_end(wins: float, losses: float, n: float, z: float) -> float:
    """Upper end of Tango's interval; the lower end is minus that of the swapped counts."""
    inside = (wins - losses) / n
    outside = 1.0
    if _tango_excess(outside, wins, losses, n, z) <= 0.0:
        return outside
    middle = (inside + outside) / 2.0
    while inside < middle < outside:
        if _tango_excess(middle, wins, losses, n, z) <= 0.0:
            inside = middle
        else:
            outside = middle
        middle = (inside + outside) / 2.0
    return outside


def _tango_excess(delta: float, wins: float, losses: float, n: float, z: float) -> float:
    """Squared score minus z², times the variance: positive outside the interval."""
    return (wins - losses - n * delta) ** 2 - z * z * _tango_spread(delta, wins, losses, n)


def _tango_spread(delta: float, wins: float, losses: float, n: float) -> float:
    """Variance of wins - losses if the rates differ by ``delta``."""
    linear = (2 * n - wins + losses) * delta - wins - losses
    constant = -losses * delta * (1.0 - delta)
    root = sqrt(max(0.0, linear * linear - 8.0 * n * constant))
    share = (root - linear) / (4.0 * n)
    return n * max(0.0, 2.0 * share + delta * (1.0 - delta))


def _check_win_counts(wins: int, losses: int) -> None:
    if wins < 0 or losses < 0:
        msg = f"wins and losses are counts, got {wins} and {losses}"
        raise ValueError(msg)

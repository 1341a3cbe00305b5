"""Intervals for one number: a rate, a mean, a bounded difference, a quantile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate
from math import ceil, comb, exp, floor, fsum, lgamma, log, log1p, sqrt
from operator import mul

from headrace.domain.comparison import Interval
from headrace.evaluation.stats.special import beta_quantile, normal_quantile, t_quantile

#: Scores closer than this are the same score.
TIE_TOLERANCE = 1e-9

_NO_SPREAD = 1e-12  # of a standard deviation, beside the largest value

_GUARD_MIN_NONZERO = 8
_GUARD_MIN_SIDE = 5
_EXACT_BINOMIAL_MAX = 400


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean.

    Raises:
        ValueError: ``values`` is empty.
    """
    if not values:
        msg = "the mean of no values is not defined"
        raise ValueError(msg)
    return fsum(values) / len(values)


def variance(values: Sequence[float]) -> float:
    """Unbiased sample variance (divisor n - 1).

    Raises:
        ValueError: Fewer than two values.
    """
    if len(values) < 2:
        msg = "a variance needs two values"
        raise ValueError(msg)
    centre = mean(values)
    deviations = [value - centre for value in values]
    return fsum(map(mul, deviations, deviations)) / (len(values) - 1)


def is_rounding(square: float, values: Sequence[float]) -> bool:
    """Whether a variance of the values is nothing but the rounding of floats."""
    return square <= (_NO_SPREAD * max(map(abs, values), default=0.0)) ** 2


def wilson_interval(successes: float, n: int, *, level: float = 0.95) -> Interval:
    """Score interval for a rate of ``successes`` in ``n`` lines; never of zero width.

    Source: Wilson (1927), JASA 22:209; Newcombe (1998), Statistics in Medicine 17:857, method 3.

    Raises:
        ValueError: ``n`` is not positive, or ``successes`` is outside [0, n].
    """
    _check_counts(successes, n)
    low, high = score_interval(successes / n, n, normal_quantile((1.0 + level) / 2.0))
    return Interval(low=low, high=high, level=level, method="Wilson")


def score_interval(rate: float, n: float, quantile_used: float) -> tuple[float, float]:
    """Ends of Wilson's interval for any size and quantile, such as an effective size and one of t.

    Source: Wilson (1927), JASA 22:209.

    Raises:
        ValueError: ``n`` is not positive, or ``rate`` is outside [0, 1].
    """
    if n <= 0.0 or not 0.0 <= rate <= 1.0:
        msg = f"score_interval needs n > 0 and a rate in [0, 1], got {n} and {rate}"
        raise ValueError(msg)
    z = quantile_used
    shrink = 1.0 + z * z / n
    centre = (rate + z * z / (2.0 * n)) / shrink
    half = z * sqrt(rate * (1.0 - rate) / n + z * z / (4.0 * n * n)) / shrink
    low = 0.0 if rate == 0.0 else max(0.0, centre - half)
    high = 1.0 if rate == 1.0 else min(1.0, centre + half)
    return low, high


def clopper_pearson_interval(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """Exact interval for a rate: covers at least at ``level``, for "at least x %" claims.

    Source: Clopper and Pearson (1934), Biometrika 26:404, by beta quantiles.

    Raises:
        ValueError: ``n`` is not positive, or ``successes`` is outside [0, n].
    """
    _check_counts(successes, n)
    tail = (1.0 - level) / 2.0
    low = 0.0 if successes == 0 else beta_quantile(tail, successes, n - successes + 1)
    high = 1.0 if successes == n else beta_quantile(1.0 - tail, successes + 1, n - successes)
    return Interval(low=low, high=high, level=level, method="Clopper-Pearson")


def beta_interval(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """Equal-tailed credible interval for a rate from a flat prior; covers less evenly than Wilson's at small ``n``.

    Source: Bayes (1763); posterior Beta(1 + successes, 1 + failures), quantiles.

    Raises:
        ValueError: ``n`` is not positive, or ``successes`` is outside [0, n].
    """
    _check_counts(successes, n)
    tail = (1.0 - level) / 2.0
    low = beta_quantile(tail, successes + 1, n - successes + 1)
    high = beta_quantile(1.0 - tail, successes + 1, n - successes + 1)
    return Interval(low=low, high=high, level=level, method="Beta(1, 1)")


def standard_error(values: Sequence[float]) -> float:
    """Standard error of the mean of independent values, in their unit.

    Source: Miller (2024), arXiv 2411.00640, equation 1.

    Raises:
        ValueError: Fewer than two values.
    """
    return sqrt(variance(values) / len(values))


def t_interval(values: Sequence[float], *, level: float = 0.95) -> Interval | None:
    """Student's t interval for a mean; ``None`` without two values or without spread beyond rounding.

    Source: Student (1908); any textbook, mean ± t(n - 1) · s / √n.
    """
    if len(values) < 2:
        return None
    centre = mean(values)
    spread = variance(values)
    if is_rounding(spread, values):
        return None
    half = t_quantile((1.0 + level) / 2.0, len(values) - 1) * sqrt(spread / len(values))
    return Interval(low=centre - half, high=centre + half, level=level, method="t")


def bounded_mean_interval(values: Sequence[float], *, level: float = 0.95) -> Interval:
    """Interval for the mean of scores in [0, 1]; never of zero width.

    Student's t, clipped to [0, 1]. Where fewer than eight scores differ from the commonest one the
    sample says too little about the spread, and Wilson's interval stands in: it is conservative,
    because a score in [0, 1] with mean m varies by at most m(1 - m).

    Source: Student (1908); Wilson (1927); the variance bound is Bhatia and Davis (2000), American
    Mathematical Monthly 107:353.

    Raises:
        ValueError: ``values`` is empty or leaves [0, 1].
    """
    if not values or not all(0.0 <= value <= 1.0 for value in values):
        msg = "bounded_mean_interval needs scores in [0, 1]"
        raise ValueError(msg)
    commonest = Counter(round(value, 9) for value in values).most_common(1)[0][1]
    plain = t_interval(values, level=level)
    if plain is None or len(values) - commonest < _GUARD_MIN_NONZERO:
        bound = wilson_interval(min(fsum(values), len(values)), len(values), level=level)
        return replace(bound, method="Wilson (bounded mean)")
    return replace(plain, low=max(0.0, plain.low), high=min(1.0, plain.high))


def needs_sparse_guard(differences: Sequence[float]) -> bool:
    """Whether too few differences are nonzero for Student's t to cover as it promises.

    Source: generalises Bonett and Price (2012), Statistics in Medicine 31:3433, as calibrated by
    simulation: fewer than eight nonzero differences, or fewer than five on one side while less
    than half of all differences are nonzero. Differences that are all the same need it too.
    """
    if not differences or max(differences) - min(differences) <= TIE_TOLERANCE:
        return True
    positive = sum([difference > TIE_TOLERANCE for difference in differences])
    negative = sum([difference < -TIE_TOLERANCE for difference in differences])
    nonzero = positive + negative
    if nonzero < _GUARD_MIN_NONZERO:
        return True
    return min(positive, negative) < _GUARD_MIN_SIDE and nonzero < len(differences) / 2


def guarded_differences(differences: Sequence[float], value_range: float) -> list[float]:
    """The differences, plus one at +range and one at -range where the sparse guard is needed."""
    guarded = list(differences)
    if needs_sparse_guard(differences):
        guarded += [value_range, -value_range]
    return guarded


def guarded_moments(differences: Sequence[float], value_range: float) -> tuple[float, float, float] | None:
    """Mean, standard error and degrees of freedom of ``guarded_differences``; ``None`` without spread."""
    guarded = guarded_differences(differences, value_range)
    if len(guarded) < 2:
        return None
    spread = variance(guarded)
    if is_rounding(spread, guarded):
        return None
    return mean(guarded), sqrt(spread / len(guarded)), len(guarded) - 1


def bounded_difference_interval(
    differences: Sequence[float], *, value_range: float = 1.0, level: float = 0.95
) -> Interval | None:
    """Interval for the mean of paired differences that lie in [-range, range].

    Student's t with the sparse guard of ``needs_sparse_guard``, clipped to the range.

    Args:
        differences: Arm minus baseline, one per line.
        value_range: Width of the score's range, in its unit.
        level: Confidence level.

    Returns:
        ``None`` without differences, or where neither they nor the range leave any spread.

    Source: Student (1908); guard after Bonett and Price (2012), Statistics in Medicine 31:3433.
    """
    found = difference_interval(differences, value_range=value_range, level=level)
    if found is None:
        return None
    return replace(found, low=max(-value_range, found.low), high=min(value_range, found.high))


def difference_interval(
    differences: Sequence[float], *, value_range: float, level: float = 0.95
) -> Interval | None:
    """Interval for the mean of paired differences of a score without known limits.

    Student's t; where the sparse guard is needed it uses ``value_range``, the range of the scores
    that were seen, in place of a limit. Not clipped.

    Returns:
        ``None`` without differences, or where neither they nor the range leave any spread.

    Source: Student (1908); guard after Bonett and Price (2012), Statistics in Medicine 31:3433.
    """
    if not differences:
        return None
    guarded = guarded_differences(differences, value_range)
    plain = t_interval(guarded, level=level)
    if plain is None or len(guarded) == len(differences):
        return plain
    return replace(plain, method="t with sparse guard")


def quantile(values: Sequence[float], probability: float) -> float:
    """Sample quantile by linear interpolation between order statistics.

    Source: Hyndman and Fan (1996), American Statistician 50:361, definition 7.

    Raises:
        ValueError: ``values`` is empty, or ``probability`` is outside [0, 1].
    """
    if not values or not 0.0 <= probability <= 1.0:
        msg = "quantile needs values and a probability in [0, 1]"
        raise ValueError(msg)
    ordered = sorted(values)
    position = probability * (len(ordered) - 1)
    below = floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def quantile_interval(
    values: Sequence[float],
    probability: float,
    *,
    level: float = 0.95,
    n_independent: int | None = None,
) -> Interval | None:
    """Distribution-free interval for a quantile, from two order statistics.

    The ranks leave at most (1 - level) / 2 outside on either side. With repeats, ranks are found
    for the number of independent lines and stretched over all values, which is conservative.

    Args:
        values: Observations, in any order.
        probability: The quantile asked for, strictly between 0 and 1.
        level: Confidence level.
        n_independent: Independent lines behind ``values``; all of them when not given.

    Returns:
        ``None`` where there are too few lines: under 6 for a median, under 72 for a 95th
        percentile at level 0.95.

    Source: David and Nagaraja (2003), Order Statistics, 3rd ed., section 7.1; for repeats Woodruff
    (1952), JASA 47:635.

    Raises:
        ValueError: ``probability`` is not strictly between 0 and 1.
    """
    if not 0.0 < probability < 1.0:
        msg = f"quantile_interval needs a probability strictly between 0 and 1, got {probability}"
        raise ValueError(msg)
    n = len(values) if n_independent is None else min(n_independent, len(values))
    ranks = _quantile_ranks(n, probability, (1.0 - level) / 2.0)
    if ranks is None:
        return None
    ordered = sorted(values)
    stretch = len(ordered) / n
    low = ordered[floor((ranks[0] - 1) * stretch)]
    high = ordered[min(ceil(ranks[1] * stretch), len(ordered)) - 1]
    return Interval(low=low, high=high, level=level, method="order statistics")


@lru_cache(maxsize=256)  # the arms of a comparison mostly have as many lines
def _quantile_ranks(n: int, probability: float, tail: float) -> tuple[int, int] | None:
    """Ranks (1-based) whose order statistics bound the quantile, or None."""
    below = list(accumulate(_binomial_mass(n, k, probability) for k in range(n)))
    low = sum(chance <= tail for chance in below)
    high = next((k + 1 for k, chance in enumerate(below) if chance >= 1.0 - tail), None)
    if low == 0 or high is None:
        return None
    return low, high


def _binomial_mass(n: int, k: int, probability: float) -> float:
    if n <= _EXACT_BINOMIAL_MAX:
        return comb(n, k) * probability**k * (1.0 - probability) ** (n - k)
    ways = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
    return exp(ways + k * log(probability) + (n - k) * log1p(-probability))


def _check_counts(successes: float, n: int) -> None:
    if n <= 0 or not 0 <= successes <= n:
        msg = f"a rate needs 0 <= successes <= n and n > 0, got {successes} of {n}"
        raise ValueError(msg)

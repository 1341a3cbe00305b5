"""How likely a sum of weights with random signs is to get as far as it did: four ways, chosen by what they cost."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from math import cos, cosh, exp, fsum, gcd, log, log1p, pi, prod, sqrt, tanh
from operator import add, mul
from random import Random

from headrace.evaluation.stats.estimate import TIE_TOLERANCE
from headrace.evaluation.stats.special import normal_cdf

#: Weights up to which all sign patterns are counted.
EXACT_SIGN_FLIP_MAX = 26
#: Random sign patterns where nothing better is to be had.
SIGN_FLIP_DRAWS = 10_000

_GRIDS: tuple[int, ...] = (
    *range(1, 26),
    30,
    32,
    36,
    40,
    48,
    50,
    60,
    64,
    72,
    80,
    90,
    96,
    100,
    120,
    128,
    200,
    250,
    500,
    1000,
)
_GRID_STEPS = 150_000
_RESCALE_EVERY = 512
_NEWTON_STEPS = 60
_NEWTON_PRECISION = 1e-9
#: Largest share of one weight in the sum of squares up to which the saddlepoint approximation is used.
_LARGEST_SHARE = 0.1
_BLOCK = 8
#: Where sums may pile up, in steps of the middle weight, and how much of that spoils the approximation.
_PILES: tuple[float, ...] = tuple(k * (1.0 + shift / 100.0) for k in (1, 2, 3) for shift in range(-6, 7, 2))
_LUMP = 0.01
_COSH_LIMIT = 300.0
_LOG_TWO = log(2.0)


def sign_flip_tail(weights: Sequence[float], reach: float, *, seed: int, draws: int) -> float:
    """Probability that the sum of ``weights``, each with a random sign, is at least ``reach`` away from zero.

    Counted exactly for few weights and for weights on a grid, such as grades or means of repeats; else by a saddlepoint
    approximation where no weight stands out and the sums do not pile up around equal steps, as those of almost equal
    weights do, within 1 % of the probability where that is .01 and more; else by random patterns, the one that was
    observed counted among them.

    Args:
        weights: Above zero, in an order that does not depend on that of the lines.
        reach: Above zero.
        seed: Seed of the random patterns.
        draws: Number of random patterns.

    Source: Fisher (1935), The Design of Experiments, section 21; Robinson (1982), Journal of the Royal Statistical
    Society B 44:91, saddlepoint with the tail formula of Lugannani and Rice (1980), Advances in Applied Probability
    12:475; for random patterns Phipson and Smyth (2010), Statistical Applications in Genetics and Molecular Biology
    9:39.
    """
    reach -= TIE_TOLERANCE * fsum(weights)
    if reach <= 0.0:
        return 1.0
    grid = _grid(weights)
    unit = 0.0  # all weights are whole numbers of it, where it is above zero
    if grid is not None:
        steps = [round(weight * grid) for weight in weights]
        unit = gcd(*steps) / grid
        steps = [round(weight / unit) for weight in weights]
        if len(steps) * sum(steps) <= _GRID_STEPS:
            return _on_grid(steps, reach / unit)
    if len(weights) <= EXACT_SIGN_FLIP_MAX:
        return _enumerated(weights, reach)
    squares = fsum(weight * weight for weight in weights)
    if max(weights) ** 2 <= _LARGEST_SHARE * squares and not _is_lumpy(weights, unit):
        # Sums of whole weights lie two units apart: half of that belongs to the sum that was reached.
        return saddlepoint_tail(weights, reach - unit)
    sums = _random_signed_sums(weights, seed, draws)
    return (sum(abs(total) >= reach for total in sums) + 1) / (draws + 1)


def saddlepoint_tail(weights: Sequence[float], reach: float) -> float:
    """The same probability by the saddlepoint approximation alone.

    Source: Robinson (1982), Journal of the Royal Statistical Society B 44:91; Lugannani and Rice (1980), Advances in
    Applied Probability 12:475.
    """
    total = fsum(weights)
    if reach <= 0.0:
        return 1.0
    if reach >= total * (1.0 - 2.0 * TIE_TOLERANCE):
        return exp((1 - len(weights)) * _LOG_TWO) if reach <= total * (1.0 + TIE_TOLERANCE) else 0.0
    tilt = _saddlepoint(weights, reach)
    # log cosh x = |x| + log(1 + exp(-2 |x|)) - log 2, which does not overflow
    cumulant = tilt * total + fsum(log1p(exp(-2.0 * tilt * w)) - _LOG_TWO for w in weights)
    curvature = fsum((w / cosh(min(_COSH_LIMIT, tilt * w))) ** 2 for w in weights)
    root = sqrt(max(0.0, 2.0 * (tilt * reach - cumulant)))
    scale = tilt * sqrt(curvature)
    tail = normal_cdf(-root)
    if root > 1e-4 and scale > 0.0:
        tail += exp(-root * root / 2.0) / sqrt(2.0 * pi) * (1.0 / scale - 1.0 / root)
    return min(1.0, max(0.0, 2.0 * tail))


def _saddlepoint(weights: Sequence[float], reach: float) -> float:
    """The tilt at which the expected sum is ``reach``, by Newton's method kept between bounds."""
    low, high = 0.0, float("inf")
    squares = fsum(w * w for w in weights)
    tilt = reach / squares
    for _ in range(_NEWTON_STEPS):
        pulls = [w * tanh(tilt * w) for w in weights]
        miss = sum(pulls) - reach
        if abs(miss) <= _NEWTON_PRECISION * reach:
            break
        low, high = (tilt, high) if miss < 0.0 else (low, tilt)
        curvature = squares - sum(map(mul, pulls, pulls))
        following = tilt - miss / curvature if curvature > 0.0 else low
        if not low < following < high:
            following = 2.0 * tilt if high == float("inf") else (low + high) / 2.0
        tilt = following
    return tilt


def _enumerated(weights: Sequence[float], reach: float) -> float:
    """Share of all sign patterns, by pairing the sums of one half with those of the other."""
    middle = len(weights) // 2
    first = _signed_sums(weights[:middle])
    second = sorted(_signed_sums(weights[middle:]))
    count = sum(len(second) - bisect_left(second, reach - total) for total in first)
    # The patterns come in mirrored pairs, so that as many reach as far down.
    return min(1.0, 2.0 * count / (len(first) * len(second)))


def _grid(weights: Sequence[float]) -> int | None:
    """The smallest number that makes all weights whole, among the usual ones."""
    for grid in _GRIDS:
        if all(abs(weight * grid - round(weight * grid)) <= TIE_TOLERANCE * grid for weight in weights):
            return grid
    return None


def _on_grid(steps: Sequence[int], reach: float) -> float:
    """Exact share of sign patterns for whole weights, by adding one weight at a time."""
    chances = [1.0]
    for index, step in enumerate(steps, start=1):
        gap = [0.0] * step
        chances = list(map(add, chances + gap, gap + chances))
        if index % _RESCALE_EVERY == 0:
            chances = [chance * 2.0**-_RESCALE_EVERY for chance in chances]
    # Position k is a sum of 2 k - total.
    first = next((k for k in range(len(chances)) if 2 * k - len(chances) + 1 >= reach), len(chances))
    return min(1.0, 2.0 * fsum(chances[first:]) * 2.0 ** -(len(steps) % _RESCALE_EVERY))


def _is_lumpy(weights: Sequence[float], unit: float) -> bool:
    """Whether the sums pile up around equal steps, other than those of the unit that all weights share.

    A sum of weights with random signs has the characteristic function prod cos(t w). Away from zero it is large only
    where the sums pile up: for weights around w near t = pi / w and its multiples.
    """
    middle = weights[len(weights) // 2]
    limit = 0.75 * pi / unit if unit > 0.0 else float("inf")
    some = weights[:: 1 + len(weights) // _BLOCK**2]  # the product over all weights is at most that over some
    for pile in _PILES:
        t = pile * pi / middle
        if t < limit and all(
            abs(prod([cos(t * weight) for weight in part])) > _LUMP for part in (some, weights)
        ):
            return True
    return False


def _signed_sums(values: Sequence[float]) -> list[float]:
    sums = [0.0]
    for value in values:
        sums = [total + value for total in sums] + [total - value for total in sums]
    return sums


def _random_signed_sums(values: Sequence[float], seed: int, draws: int) -> list[float]:
    # One random byte picks the signs of eight values at once, and a block serves all draws while
    # its table is in the cache: table look-ups instead of a hundred million additions.
    random = Random(seed)  # noqa: S311 - a reproducible permutation, not a secret
    totals = [0.0] * draws
    for start in range(0, len(values), _BLOCK):
        block = values[start : start + _BLOCK]
        table = _signed_sums([*block, *[0.0] * (_BLOCK - len(block))])
        totals = list(map(add, totals, map(table.__getitem__, random.randbytes(draws))))
    return totals

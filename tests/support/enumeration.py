"""Coverage and error rates without chance: every outcome, weighted by its probability."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import comb, exp, lgamma, log, log1p

Ends = tuple[float, float]


@lru_cache(maxsize=1_000_000)
def binomial(n: int, k: int, rate: float) -> float:
    if rate <= 0.0 or rate >= 1.0:
        return float(k == (0 if rate <= 0.0 else n))
    if n <= 400:
        return comb(n, k) * rate**k * (1.0 - rate) ** (n - k)
    return exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(rate) + (n - k) * log1p(-rate))


def rate_coverage(interval: Callable[[int, int], Ends], n: int, rate: float) -> float:
    """Coverage of an interval for one rate."""
    ends = [interval(k, n) for k in range(n + 1)]
    return sum(binomial(n, k, rate) for k, (low, high) in enumerate(ends) if low <= rate <= high)


def pairs(n: int, discordance: float, difference: float) -> list[tuple[int, int, float]]:
    """Wins, losses and probability of every outcome of ``n`` pairs that is not too rare to matter."""
    win = (discordance + difference) / 2.0 / discordance
    outcomes = []
    for discordant in range(n + 1):
        weight = binomial(n, discordant, discordance)
        if weight < 1e-12:
            continue
        outcomes += [
            (wins, discordant - wins, weight * binomial(discordant, wins, win))
            for wins in range(discordant + 1)
        ]
    return outcomes


def difference_coverage(
    interval: Callable[[int, int, int], Ends], n: int, discordance: float, difference: float
) -> tuple[float, float]:
    """Coverage and mean width of an interval for the difference of two paired rates."""
    covered = width = 0.0
    for wins, losses, weight in pairs(n, discordance, difference):
        if weight < 1e-14:
            continue
        low, high = interval(wins, losses, n)
        covered += weight * (low <= difference <= high)
        width += weight * (high - low)
    return covered, width


def rejection(
    test: Callable[[int, int], float], n: int, discordance: float, difference: float, alpha: float = 0.05
) -> float:
    """Chance that a test of two paired rates rejects."""
    return sum(
        weight for wins, losses, weight in pairs(n, discordance, difference) if test(wins, losses) <= alpha
    )

"""A fixed number of looks that were planned: the most power where it is known how many units there will be."""

from __future__ import annotations

from functools import lru_cache
from math import exp, pi, sqrt
from typing import Final

from headrace.evaluation.stats.special import normal_cdf

_POINTS: Final = 120
_STEPS: Final = 60


@lru_cache(maxsize=32)
def obrien_fleming_boundaries(n_looks: int, alpha: float) -> tuple[float, ...]:
    """Size of z that decides at each of some equally spaced looks, two-sided.

    c sqrt(K / k) at look k of K, with c such that the chance of ever crossing is alpha where there is no difference.

    Args:
        n_looks: From 1 to 20.
        alpha: Chance of a false decision over all looks, above 0 and below 1.

    Raises:
        ValueError: An argument is out of its range.

    Source: O'Brien and Fleming (1979), Biometrics 35:549; the constant by recursive integration: Armitage, McPherson
    and Rowe (1969), JRSS A 132:235, as in Jennison and Turnbull (2000), table 2.3.
    """
    if not 1 <= n_looks <= 20 or not 0.0 < alpha < 1.0:
        msg = "looks go from 1 to 20, and alpha lies between 0 and 1"
        raise ValueError(msg)
    low, high = 0.0, 12.0
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        if _crossing(n_looks, middle) > alpha:
            low = middle
        else:
            high = middle
        if high - low < 1e-7:
            break
    return tuple(high * sqrt(n_looks / look) for look in range(1, n_looks + 1))


def _crossing(n_looks: int, c: float) -> float:
    """Chance that a random walk leaves ±c sqrt(K) at some of its K steps.

    In units of a step the bound is the same at every look; the density of the walk inside it is carried from look to
    look by Simpson's rule.
    """
    bound = c * sqrt(n_looks)
    width = 2.0 * bound / _POINTS
    points = [-bound + width * place for place in range(_POINTS + 1)]
    weights = [
        width / 3.0 * (1.0 if place in (0, _POINTS) else 4.0 if place % 2 else 2.0)
        for place in range(_POINTS + 1)
    ]
    kernel = [exp(-0.5 * (width * gap) ** 2) / sqrt(2.0 * pi) for gap in range(_POINTS + 1)]
    left = 2.0 * normal_cdf(-bound)
    density = [exp(-0.5 * point * point) / sqrt(2.0 * pi) for point in points]
    tails = [normal_cdf(-bound - point) + normal_cdf(point - bound) for point in points]
    for look in range(2, n_looks + 1):
        masses = [one * weight for one, weight in zip(density, weights, strict=True)]
        left += sum(mass * tail for mass, tail in zip(masses, tails, strict=True))
        if look < n_looks:
            density = [
                sum(mass * kernel[abs(here - there)] for there, mass in enumerate(masses))
                for here in range(_POINTS + 1)
            ]
    return left

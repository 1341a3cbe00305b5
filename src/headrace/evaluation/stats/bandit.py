"""Thompson sampling: arms get traffic as often as they are likely to be the best one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import exp, inf, log, sqrt
from typing import Final

_REACH: Final = 12
"""Standard deviations around a mean beyond which nothing counts."""

_STEPS: Final = 20
"""Points in a standard deviation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """What is known of the mean of an arm, higher being better.

    Attributes:
        n: Units.
        mean: Of their values, from 0 to 1.
        variance: Of a value; ``None`` for values of 0 or 1, which have a Beta posterior from a flat prior.
    """

    n: int
    mean: float
    variance: float | None = None


def best_chances(arms: Sequence[Posterior]) -> tuple[float, ...]:
    """Chance of each arm to be the best one; they add up to 1.

    From Beta(1 + successes, 1 + failures), or for values that are not 0 or 1 from a normal distribution whose mean and
    variance count two more values, one at either limit. Integrated, not drawn: the same evidence gives the same
    chances, and arms of which the same is known get equal ones.

    Args:
        arms: At least one.

    Source: Thompson (1933), Biometrika 25:285; Russo et al. (2018), A Tutorial on Thompson Sampling.
    """
    shapes = [_shape(arm) for arm in arms]
    points = sorted({point for shape in shapes for point in shape.points()})
    chances = [shape.chances(points) for shape in shapes]
    below = [[0.0, *accumulate(parts)] for parts in chances]
    found = [0.0] * len(arms)
    for cell in range(len(points) - 1):
        middles = [(sums[cell] + sums[cell + 1]) / 2.0 for sums in below]
        for number, parts in enumerate(chances):
            beaten = 1.0
            for other, middle in enumerate(middles):
                beaten *= middle if other != number else 1.0
            found[number] += parts[cell] * beaten
    whole = sum(found)
    return tuple(chance / whole for chance in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """A posterior: a Beta where ``hits`` and ``misses`` are known, else a normal distribution."""

    mean: float
    deviation: float
    hits: float | None = None
    misses: float = 0.0

    def points(self) -> list[float]:
        """Where to look, densely enough for this distribution."""
        steps = range(-_REACH * _STEPS, _REACH * _STEPS + 1)
        found = [self.mean + step * self.deviation / _STEPS for step in steps]
        return found if self.hits is None else [0.0, *(point for point in found if 0.0 < point < 1.0), 1.0]

    def chances(self, points: Sequence[float]) -> list[float]:
        """Chance of each cell between two points; they add up to 1."""
        heights = [self._log_height(point) for point in points]
        highest = max(heights)
        densities = [exp(height - highest) for height in heights]
        parts = [
            (before + after) * (right - left)
            for (before, after), (left, right) in zip(pairwise(densities), pairwise(points), strict=True)
        ]
        whole = sum(parts)
        return [part / whole for part in parts]

    def _log_height(self, point: float) -> float:
        if self.hits is None:
            return -(((point - self.mean) / self.deviation) ** 2) / 2.0
        if not 0.0 <= point <= 1.0:
            return -inf
        return _times_log(self.hits, point) + _times_log(self.misses, 1.0 - point)


def _times_log(count: float, value: float) -> float:
    if not count:
        return 0.0
    return count * log(value) if value > 0.0 else -inf


def _shape(arm: Posterior) -> _Shape:
    if arm.variance is None:
        hits = arm.mean * arm.n
        a, b = 1.0 + hits, 1.0 + arm.n - hits
        mean = a / (a + b)
        deviation = sqrt(mean * (1.0 - mean) / (a + b + 1.0))
        return _Shape(mean=mean, deviation=deviation, hits=hits, misses=arm.n - hits)
    n = arm.n + 2
    mean = (arm.mean * arm.n + 1.0) / n
    squares = arm.variance * max(0, arm.n - 1) + arm.n * (arm.mean - mean) ** 2 + mean**2 + (1.0 - mean) ** 2
    return _Shape(mean=mean, deviation=sqrt(squares) / n)


def with_floor(chances: Sequence[float], floor: float) -> tuple[float, ...]:
    """Shares that are at least ``floor`` each and else in proportion to the chances.

    Args:
        chances: They add up to 1.
        floor: From 0 to one part of as many as there are arms; more is taken for that.
    """
    least = min(floor, 1.0 / len(chances))
    left = 1.0 - least * len(chances)
    return tuple(least + left * chance for chance in chances)

"""Thompson sampling: arms get traffic as often as they are likely to be the best one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from random import Random
from typing import Final

N_DRAWS: Final = 4000


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


def best_chances(arms: Sequence[Posterior], seed: int, n_draws: int = N_DRAWS) -> tuple[float, ...]:
    """Chance of each arm to be the best one; they add up to 1.

    From Beta(1 + successes, 1 + failures), or for values that are not 0 or 1 from a normal distribution whose mean and
    variance count two more values, one at either limit.

    Args:
        arms: At least one.
        seed: Of the draws: the same one gives the same chances.
        n_draws: More of them are more exact.

    Source: Thompson (1933), Biometrika 25:285; Russo et al. (2018), A Tutorial on Thompson Sampling.
    """
    random = Random(seed)  # noqa: S311 - draws of a simulation, not a secret
    wins = [0] * len(arms)
    for _ in range(n_draws):
        draws = [_draw(arm, random) for arm in arms]
        wins[draws.index(max(draws))] += 1
    return tuple(won / n_draws for won in wins)


def _draw(arm: Posterior, random: Random) -> float:
    if arm.variance is None:
        hits = arm.mean * arm.n
        return random.betavariate(1.0 + hits, 1.0 + arm.n - hits)
    n = arm.n + 2
    mean = (arm.mean * arm.n + 1.0) / n
    squares = arm.variance * max(0, arm.n - 1) + arm.n * (arm.mean - mean) ** 2 + mean**2 + (1.0 - mean) ** 2
    return random.gauss(mean, sqrt(squares / n / n))


def with_floor(chances: Sequence[float], floor: float) -> tuple[float, ...]:
    """Shares that are at least ``floor`` each and else in proportion to the chances.

    Args:
        chances: They add up to 1.
        floor: From 0 to one part of as many as there are arms; more is taken for that.
    """
    least = min(floor, 1.0 / len(chances))
    left = 1.0 - least * len(chances)
    return tuple(least + left * chance for chance in chances)
